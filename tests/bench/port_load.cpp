// Both ends of a TCP port's load: a server for a container, and clients that measure.
//
// Theory of operation. One thread and poll(2) at each end. A connection's first byte says what it
// is for: 'G' is a GET, answered until "Connection: close"; 'U' takes all that comes and answers
// its end with one; 'D' gives bytes until the client has ended. Both streams end with a half-close,
// so what was counted has arrived, and nothing in a buffer between is taken for done.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/io/descriptor.h"

namespace {

using slipway::Descriptor;
using Clock = std::chrono::steady_clock;

constexpr const char* kUsage = R"(port-load serve PORT
port-load up|down ADDRESS PORT STREAMS SECONDS      bytes, and the seconds that they took
port-load requests ADDRESS PORT CLIENTS SECONDS     a second, and p99 in us; connections are kept
port-load connections ADDRESS PORT CLIENTS SECONDS  the same, each over a connection of its own
port-load hold ADDRESS PORT CONNECTIONS 0           opens them; then for each line of its input,
                                                    how many answer
)";
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view kLastGet =
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello there\n";

std::array<char, 256 << 10> buffer;

[[noreturn]] void die(const std::string& what)
{
    std::perror(("port-load: " + what).c_str());
    std::exit(1);
}

sockaddr_in addressOf(const std::string& address, int port)
{
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) die(address);
    return to;
}

Descriptor newSocket()
{
    Descriptor made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!made) die("socket");
    int one = 1;
    setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return made;
}

Descriptor connectTo(const sockaddr_in& to)
{
    Descriptor made = newSocket();
    if (connect(made.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connect");
    return made;
}

void letWait(const Descriptor& socket, bool wait)
{
    int flags = fcntl(socket.get(), F_GETFL);
    fcntl(socket.get(), F_SETFL, wait ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

void send(const Descriptor& socket, std::string_view text)
{
    if (::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(text.size()))
        die("write");
}

class Server {
public:
    explicit Server(int port) : m_epoll(::epoll_create1(EPOLL_CLOEXEC))
    {
        int one = 1;
        sockaddr_in at = addressOf("0.0.0.0", port);
        setsockopt(m_listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(m_listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
            listen(m_listener.get(), SOMAXCONN) != 0)
            die("listen");
        letWait(m_listener, false);
        watch(m_listener, EPOLL_CTL_ADD, EPOLLIN);
    }

    [[noreturn]] void run()
    {
        for (std::array<epoll_event, 64> events;;) {
            int count = epoll_wait(m_epoll.get(), events.data(), events.size(), -1);
            for (int i = 0; i < count; ++i) {
                int socket = events[static_cast<std::size_t>(i)].data.fd;
                if (socket == m_listener.get())
                    accept();
                else if (!serve(m_connections[socket]))
                    m_connections.erase(socket);
            }
        }
    }

private:
    struct Connection {
        Descriptor socket;
        char kind = 0;
        std::string request;
    };

    void watch(const Descriptor& socket, int how, std::uint32_t events)
    {
        epoll_event event{};
        event.events = events;
        event.data.fd = socket.get();
        epoll_ctl(m_epoll.get(), how, socket.get(), &event);
    }

    void accept()
    {
        for (int fd; (fd = accept4(m_listener.get(), nullptr, nullptr,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            int one = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            Connection& connection = m_connections[fd];
            connection = {Descriptor(fd), 0, {}};
            watch(connection.socket, EPOLL_CTL_ADD, EPOLLIN);
        }
    }

    // False: it is over.
    bool serve(Connection& connection)
    {
        const Descriptor& socket = connection.socket;
        ssize_t count = read(socket.get(), buffer.data(), buffer.size());
        if (count < 0 && errno != EAGAIN) return false;
        if (count == 0) {
            if (connection.kind == 'U') ::send(socket.get(), "!", 1, MSG_NOSIGNAL);
            return false;
        }
        if (count > 0 && !connection.kind) {
            connection.kind = buffer[0];
            if (connection.kind == 'D') watch(socket, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        }
        if (connection.kind == 'D')
            return ::send(socket.get(), buffer.data(), buffer.size(), MSG_NOSIGNAL) > 0 ||
                   errno == EAGAIN;
        if (connection.kind != 'G' || count < 0) return true;
        connection.request.append(buffer.data(), static_cast<std::size_t>(count));
        if (!connection.request.ends_with("\r\n\r\n")) return true;
        ::send(socket.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
        bool last = connection.request == kLastGet;
        connection.request.clear();
        return !last;
    }

    Descriptor m_epoll;
    Descriptor m_listener = newSocket();
    std::map<int, Connection> m_connections;
};

struct Load {
    sockaddr_in to;
    int count;
    int seconds;
};

double secondsSince(Clock::time_point begun)
{
    return std::chrono::duration<double>(Clock::now() - begun).count();
}

void poll(std::vector<pollfd>& polled)
{
    if (::poll(polled.data(), polled.size(), -1) < 0) die("poll");
}

void streams(const Load& load, bool up)
{
    std::vector<Descriptor> sockets;
    std::vector<pollfd> polled;
    for (int i = 0; i < load.count; ++i) {
        sockets.push_back(connectTo(load.to));
        send(sockets.back(), up ? "U" : "D");
        letWait(sockets.back(), false);
        polled.push_back({sockets.back().get(), static_cast<short>(up ? POLLOUT : POLLIN), 0});
    }
    auto begun = Clock::now();
    double bytes = 0;
    for (bool ending = false; !polled.empty();) {
        if (!ending && secondsSince(begun) > load.seconds) {
            ending = true;
            for (pollfd& each : polled) {
                shutdown(each.fd, SHUT_WR);
                each.events = POLLIN;
            }
        }
        poll(polled);
        for (std::size_t i = 0; i < polled.size(); ++i) {
            if (!polled[i].revents) continue;
            bool writes = up && !ending;
            ssize_t count = writes
                                ? ::send(polled[i].fd, buffer.data(), buffer.size(), MSG_NOSIGNAL)
                                : read(polled[i].fd, buffer.data(), buffer.size());
            if (count < 0 && errno != EAGAIN) die(up ? "write" : "read");
            if (count > 0 && (writes || !up)) bytes += static_cast<double>(count);
            if (count != 0) continue;
            polled[i] = polled.back();
            polled.pop_back();
            --i;
        }
    }
    std::printf("%.0f %.3f\n", bytes, secondsSince(begun));
}

// Each client asks, waits for the whole answer, and asks again, over the same connection or one
// more.
void clients(const Load& load, bool kept)
{
    struct Client {
        Descriptor socket;
        std::string answer;
        Clock::time_point asked;
    };
    std::vector<Client> all(static_cast<std::size_t>(load.count));
    std::vector<pollfd> polled(all.size());
    std::vector<double> times;
    auto ask = [&](std::size_t i) {
        all[i].asked = Clock::now();
        all[i].answer.clear();
        if (!kept || !all[i].socket) all[i].socket = connectTo(load.to);
        send(all[i].socket, kept ? kGet : kLastGet);
        polled[i] = {all[i].socket.get(), POLLIN, 0};
    };
    for (std::size_t i = 0; i < all.size(); ++i) ask(i);
    auto begun = Clock::now();
    while (secondsSince(begun) < load.seconds) {
        poll(polled);
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (!polled[i].revents) continue;
            ssize_t count = read(polled[i].fd, buffer.data(), buffer.size());
            if (count < 0 || (count == 0 && (kept || all[i].answer != kAnswer))) die("read");
            all[i].answer.append(buffer.data(), static_cast<std::size_t>(count));
            if (kept ? all[i].answer != kAnswer : count != 0) continue;
            times.push_back(secondsSince(all[i].asked) * 1e6);
            ask(i);
        }
    }
    double rate = static_cast<double>(times.size()) / secondsSince(begun);
    auto p99 = times.begin() + static_cast<std::ptrdiff_t>(times.size() * 99 / 100);
    std::nth_element(times.begin(), p99, times.end());
    std::printf("%.1f %.0f\n", rate, *p99);
}

void hold(const Load& load)
{
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    std::vector<Descriptor> sockets;
    for (int i = 0; i < load.count; ++i) sockets.push_back(connectTo(load.to));
    do {
        int answered = 0;
        for (const Descriptor& socket : sockets) {
            if (::send(socket.get(), kGet.data(), kGet.size(), MSG_NOSIGNAL) < 0) continue;
            std::string answer;
            for (ssize_t count = 1; count > 0 && answer.size() < kAnswer.size();) {
                count = read(socket.get(), buffer.data(), buffer.size());
                if (count > 0) answer.append(buffer.data(), static_cast<std::size_t>(count));
            }
            answered += answer == kAnswer;
        }
        std::printf("%d\n", answered);
        std::fflush(stdout);
    } while (std::getchar() == '\n');
}

}  // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 2 && words[0] == "serve") Server(std::atoi(words[1].c_str())).run();
    const std::map<std::string, std::function<void(const Load&)>> kinds{
        {"up", [](const Load& load) { streams(load, true); }},
        {"down", [](const Load& load) { streams(load, false); }},
        {"requests", [](const Load& load) { clients(load, true); }},
        {"connections", [](const Load& load) { clients(load, false); }},
        {"hold", hold},
    };
    auto kind = words.size() == 5 ? kinds.find(words[0]) : kinds.end();
    if (kind == kinds.end()) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    kind->second({addressOf(words[1], std::atoi(words[2].c_str())), std::atoi(words[3].c_str()),
                  std::atoi(words[4].c_str())});
}
