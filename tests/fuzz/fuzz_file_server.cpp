// libFuzzer's way in: cmake --preset fuzz, then build/fuzz/tests/fuzz_file_server.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/hostile_machine.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string wrong =
        slipway::test::reachedBeyondGrant({reinterpret_cast<const char*>(data), size});
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
}
