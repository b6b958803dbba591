# cmake -DSOURCE=query-api/page -DOUT=DIR -P embed.cmake: makes OUT/page_files.c, which builds the page's files in, as they
# are and compressed. Their common hash is part of their addresses, so that browsers may keep them for ever.
cmake_minimum_required(VERSION 3.25)
find_program(GZIP gzip REQUIRED)
file(GLOB files ${SOURCE}/*.js ${SOURCE}/*.css ${SOURCE}/*.svg ${SOURCE}/vendor/*.js)
list(SORT files)
set(type_.html "text/html; charset=utf-8")
set(type_.js "text/javascript; charset=utf-8")
set(type_.css "text/css; charset=utf-8")
set(type_.svg "image/svg+xml")

file(SHA256 ${SOURCE}/index.html hashes)
foreach(file ${files})
    file(SHA256 ${file} hash)
    string(APPEND hashes ${hash})
endforeach()
string(SHA256 VERSION "${hashes}")
string(SUBSTRING ${VERSION} 0 16 VERSION)

# Appends to `embeds` what builds a file in, and sets `row`, its line of the table.
function(embed name path)
    cmake_path(GET path FILENAME base)
    cmake_path(GET path EXTENSION LAST_ONLY extension)
    file(SHA256 ${path} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    execute_process(COMMAND ${GZIP} -9 -n -c ${path} OUTPUT_FILE ${OUT}/${base}.gz COMMAND_ERROR_IS_FATAL ANY)
    set(embeds "${embeds}EMBED(${name}, \"${path}\");\nEMBED(${name}_gzip, \"${OUT}/${base}.gz\");\n" PARENT_SCOPE)
    set(row "{\"${base}\", \"${type_${extension}}\", \"\\\"${hash}\\\"\", \"\\\"${hash}-gz\\\"\",
     ${name}, &${name}_size, ${name}_gzip, &${name}_gzip_size}" PARENT_SCOPE)
endfunction()

configure_file(${SOURCE}/index.html ${OUT}/index.html @ONLY)
embed(file_html ${OUT}/index.html)
set(html "${row}")
set(number 0)
foreach(file ${files})
    embed(file_${number} ${file})
    string(APPEND rows "    ${row},\n")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT}/page_files.c "/* made by query-api/page/embed.cmake */
#include \"query-api/page/page.h\"
#include \"core/embed.h\"

${embeds}
const char page_version[] = \"${VERSION}\";
const struct page_file page_html = ${html};
const struct page_file page_files[] = {
${rows}    {.name = (void *)0},
};
")
