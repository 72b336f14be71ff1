// libFuzzer's way in: cmake --preset fuzz, then build/fuzz/tests/fuzz_http_proxy.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/smuggling.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string wrong = slipway::test::smuggled({reinterpret_cast<const char*>(data), size});
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
}
