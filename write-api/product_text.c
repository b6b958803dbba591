/* Rules for the short texts of a product: ids, SKUs, currency codes. */
#include "core/clock.h"
#include "core/utf8.h"
#include "write-api/product.h"

/* Active codes of ISO 4217 (list one, without funds and test codes). */
static const char currencies[] =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
    "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY "
    "TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ";

bool currency_known(struct slice code) {
    if (code.len != 3)
        return false;
    for (const char *c = currencies; *c; c += 4) {
        if (memcmp(c, code.data, 3) == 0)
            return true;
    }
    return false;
}

static bool has_control(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < ' ' || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.data[i + 1] < 0xa0) /* C1 */
            return true;
    }
    return false;
}

/* MySQL compares CHAR and VARCHAR as if padded with spaces, MongoDB does not: "A" and "A " would be one stock row
 * and two products. So a key never begins or ends with a space. */
static const char *key_problem(struct slice s, size_t max) {
    if (s.len == 0)
        return "must not be empty";
    if (s.len > max)
        return "must not be longer than 128 bytes";
    if (has_control(s))
        return "must not contain control characters";
    if (s.data[0] == ' ' || s.data[s.len - 1] == ' ')
        return "must not begin or end with a space";
    return utf8_valid(s.data, s.len) ? NULL : "must be valid UTF-8";
}

const char *product_id_problem(struct slice id) {
    const char *problem = key_problem(id, PRODUCT_ID_MAX);
    if (problem)
        return problem;
    if (memchr(id.data, '/', id.len))
        return "must not contain '/'";
    if (slice_eq(id, SLICE(".")) || slice_eq(id, SLICE("..")))
        return "must not be '.' or '..': no URL can address it";
    return NULL;
}

const char *sku_problem(struct slice sku) {
    return key_problem(sku, SKU_MAX);
}

void product_new_id(char ret[PRODUCT_NEW_ID_SIZE]) {
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t time = (uint64_t)clock_wall_usec() / 1000;
    uint64_t random[2] = {clock_random_u64(), clock_random_u64()};
    for (int i = 9; i >= 0; i--, time >>= 5)
        ret[i] = digits[time & 31];
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 8; i++, random[half] >>= 5)
            ret[10 + half * 8 + i] = digits[random[half] & 31];
    }
    ret[PRODUCT_NEW_ID_SIZE - 1] = '\0';
}
