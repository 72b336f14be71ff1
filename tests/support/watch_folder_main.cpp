// watch-folder DIR: prints inotify events of a folder, a line each, until it is killed. Static, so
// that a container without anything else can run it.
#include <cstdio>

#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char** argv)
{
    if (argc != 2) return 2;
    int queue = inotify_init1(IN_CLOEXEC);
    if (inotify_add_watch(queue, argv[1], IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVE | IN_ATTRIB) <
        0) {
        std::perror(argv[1]);
        return 1;
    }
    std::puts("watching");
    std::fflush(stdout);
    alignas(inotify_event) char buffer[65536];
    for (;;) {
        ssize_t count = read(queue, buffer, sizeof buffer);
        if (count <= 0) return 1;
        for (char* at = buffer; at < buffer + count;) {
            const auto* event = reinterpret_cast<const inotify_event*>(at);
            std::printf("%#x %s\n", event->mask, event->len ? event->name : "");
            at += sizeof *event + event->len;
        }
        std::fflush(stdout);
    }
}
