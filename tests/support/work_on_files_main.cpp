// work-on-files FOLDER: makes the folder and works in it until SIGTERM comes, then prints its
// inventory as it must be. Anything that goes wrong before is on standard error, and exit code 1.
// Static, so that a container without anything else can run it.
#include <csignal>
#include <cstdio>
#include <ctime>

#include <sys/stat.h>

#include "tests/support/files/file_workers.h"

int main(int argc, char** argv)
{
    if (argc != 2) return 2;
    if (::mkdir(argv[1], 0755) != 0) {
        std::perror(argv[1]);
        return 1;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &ends, nullptr);
    slipway::test::FileWorkers workers(argv[1]);
    for (timespec pause{0, 50'000'000}; ::sigtimedwait(&ends, nullptr, &pause) < 0;)
        if (workers.failed()) break;
    std::string trouble = workers.stop();
    std::fprintf(stderr, "%s\n", trouble.c_str());
    std::fputs(workers.inventory().c_str(), stdout);
    return trouble.empty() ? 0 : 1;
}
