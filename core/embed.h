/* embed.h - a file of the source tree as bytes in the program: EMBED(name, "path from the project root")
 * defines `const char name[]` (NUL-terminated) and `const size_t name_size` (without the NUL).
 * The compiler does not see the dependency: CMake files that use it set OBJECT_DEPENDS. */
#pragma once
#include <stddef.h>

#define EMBED(name, path)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".global " #name "\n"                                                                  \
            ".type " #name ", @object\n"                                                           \
            ".balign 16\n" #name ":\n"                                                             \
            ".incbin \"" path "\"\n" #name "_end_:\n"                                              \
            ".byte 0\n"                                                                            \
            ".global " #name "_size\n"                                                             \
            ".balign 8\n" #name "_size:\n"                                                         \
            ".quad " #name "_end_ - " #name "\n"                                                   \
            ".previous\n");                                                                        \
    extern const char name[];                                                                      \
    extern const size_t name##_size
