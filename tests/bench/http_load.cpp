// http-load: what one socket of the Docker API carries, as a client in C++ sees it; one figure on
// standard output. tests/bench/endpoint.py runs it by turns against the engine's own socket and
// through others.
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

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/io/descriptor.h"

namespace {

using slipway::Descriptor;
using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr const char* kUsage = R"(http-load WHAT SOCKET NUMBER [EXEC]
  latency      p50 in microseconds of NUMBER times GET /_ping over one connection
  connections  GET /_ping over connections of their own, a second, for NUMBER seconds
  clients      GET /_ping by 16 clients with a connection each, a second, for NUMBER seconds
  echo         p50 in microseconds of NUMBER bytes through the exec instance EXEC, which runs cat
)";
constexpr std::string_view kPing = "GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view kPong = "\r\n\r\nOK";
constexpr int kClients = 16;
constexpr std::size_t kStreamHeader = 8;  // Before each write of an exec without a terminal.

[[noreturn]] void die(const std::string& what)
{
    std::perror(("http-load: " + what).c_str());
    std::exit(1);
}

Descriptor connectTo(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) die(path);
    std::memcpy(address.sun_path, path.data(), path.size());
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        die(path);
    return socket;
}

void send(const Descriptor& socket, std::string_view text)
{
    if (write(socket.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        die("write");
}

// Appends what has come.
void receive(const Descriptor& socket, std::string& text)
{
    std::array<char, 4096> buffer;
    ssize_t count = read(socket.get(), buffer.data(), buffer.size());
    if (count <= 0) die("read");
    text.append(buffer.data(), static_cast<std::size_t>(count));
}

void receivePong(const Descriptor& socket)
{
    std::string answer;
    while (!answer.ends_with(kPong)) receive(socket, answer);
}

double median(std::vector<double>& times)
{
    auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

double medianOf(int count, const std::function<void()>& once)
{
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
        auto begun = Clock::now();
        once();
        times.push_back(Microseconds(Clock::now() - begun).count());
    }
    return median(times);
}

// `once` does something and says how often.
double perSecond(int seconds, const std::function<int()>& once)
{
    auto begun = Clock::now();
    auto end = begun + std::chrono::seconds(seconds);
    int done = 0;
    while (Clock::now() < end) done += once();
    return done / std::chrono::duration<double>(Clock::now() - begun).count();
}

double latency(const std::string& path, int count)
{
    Descriptor socket = connectTo(path);
    return medianOf(count, [&] {
        send(socket, kPing);
        receivePong(socket);
    });
}

double connections(const std::string& path, int seconds)
{
    return perSecond(seconds, [&] {
        Descriptor socket = connectTo(path);
        send(socket, kPing);
        receivePong(socket);
        return 1;
    });
}

double clients(const std::string& path, int seconds)
{
    struct Client {
        Descriptor socket;
        std::string answer;
    };
    std::vector<Client> all;
    std::vector<pollfd> polled;
    for (int i = 0; i < kClients; ++i) {
        all.push_back({connectTo(path), {}});
        polled.push_back({all.back().socket.get(), POLLIN, 0});
        send(all.back().socket, kPing);
    }
    return perSecond(seconds, [&] {
        if (poll(polled.data(), polled.size(), -1) < 0) die("poll");
        int done = 0;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (!polled[i].revents) continue;
            receive(all[i].socket, all[i].answer);
            if (!all[i].answer.ends_with(kPong)) continue;
            all[i].answer.clear();
            send(all[i].socket, kPing);
            ++done;
        }
        return done;
    });
}

double echo(const std::string& path, int count, const std::string& exec)
{
    Descriptor socket = connectTo(path);
    constexpr std::string_view body = "{}";
    send(socket, "POST /exec/" + exec +
                     "/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n" +
                     std::string(body));
    std::string head;
    while (!head.ends_with("\r\n\r\n")) receive(socket, head);
    if (!head.starts_with("HTTP/1.1 101 ")) die(head);
    return medianOf(count, [&] {
        std::string back;
        send(socket, "x");
        while (back.size() < kStreamHeader + 1) receive(socket, back);
    });
}

}  // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::map<std::string, std::function<double(int)>> measures{
        {"latency", [&](int number) { return latency(words[1], number); }},
        {"connections", [&](int number) { return connections(words[1], number); }},
        {"clients", [&](int number) { return clients(words[1], number); }},
        {"echo", [&](int number) { return echo(words[1], number, words.at(3)); }},
    };
    int number = words.size() < 3 ? 0 : std::atoi(words[2].c_str());
    auto measure = words.empty() ? measures.end() : measures.find(words[0]);
    if (measure == measures.end() || number < 1 || (words[0] == "echo") != (words.size() == 4)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    std::printf("%.1f\n", measure->second(number));
}
