#include "wsl-bridge/egress/host_names.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <ares.h>
#include <uv.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr int kFirstTimeoutMs = 2000;  // Doubled for the second try.
constexpr int kTries = 2;
constexpr std::uint32_t kHostsTtl = 10;
constexpr std::size_t kMaxQuestions = 10'000;

bool isLoopback(const std::string& address)
{
    return address.starts_with("127.") || address == "::1";
}

bool is(const dns::Question& question, dns::Type type)
{
    return question.type == static_cast<std::uint16_t>(type);
}

}  // namespace

// One c-ares channel, on the loop. Its questions keep it alive.
class HostNames::Servers : public std::enable_shared_from_this<HostNames::Servers> {
public:
    Servers(Loop& loop, const Options& from) : m_loop(loop), m_timer(loop)
    {
        std::string file = from.resolvConf.string();
        ares_options options{};
        options.timeout = kFirstTimeoutMs;
        options.tries = kTries;
        options.udp_port = options.tcp_port = from.port;
        options.resolvconf_path = file.data();
        options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
            static_cast<Servers*>(self)->watch(socket, readable, writable);
        };
        options.sock_state_cb_data = this;
        int failed =
            ares_init_options(&m_channel, &options,
                              ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                                  ARES_OPT_RESOLVCONF | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT);
        if (failed) log::warn("names: {}", ares_strerror(failed));
    }
    ~Servers()
    {
        if (m_channel) ares_destroy(m_channel);
    }
    Servers(const Servers&) = delete;
    Servers& operator=(const Servers&) = delete;

    // By a number that nobody on the network can guess, in the place of the question's own.
    void ask(std::string query, Answered answered)
    {
        if (!m_channel || m_numbers.size() >= kMaxQuestions)
            return m_loop.post(
                [answered = std::move(answered),
                 answer = dns::failureOf(query, dns::Rcode::ServFail)] { answered(answer); });
        std::uint16_t number = unguessed();
        auto* question =
            new Question{shared_from_this(), std::move(query), std::move(answered), number};
        std::string numbered = question->query;
        dns::setId(numbered, number);
        ares_send(
            m_channel, reinterpret_cast<const unsigned char*>(numbered.data()),
            static_cast<int>(numbered.size()),
            [](void* asked, int status, int, unsigned char* answer, int size) {
                std::unique_ptr<Question> done(static_cast<Question*>(asked));
                done->finish(status, answer, size);
            },
            question);
        arm();
    }

    void giveUp()
    {
        if (m_channel) ares_cancel(m_channel);
    }

    std::string first()
    {
        ares_addr_port_node* list = nullptr;
        if (!m_channel || ares_get_servers_ports(m_channel, &list) != ARES_SUCCESS || !list)
            return "";
        char text[INET6_ADDRSTRLEN];
        const char* address = ares_inet_ntop(list->family, &list->addr, text, sizeof text);
        std::string first = address ? address : "";
        ares_free_data(list);
        return first;
    }

private:
    struct Question {
        std::shared_ptr<Servers> servers;
        std::string query;
        Answered answered;
        std::uint16_t number = 0;

        // The loop has the last word, as c-ares does not take its own end in a callback.
        void finish(int status, const unsigned char* bytes, int size)
        {
            std::string answer;
            if (status == ARES_SUCCESS && size >= static_cast<int>(dns::kHeaderBytes)) {
                answer.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
                dns::setId(answer, dns::idOf(query));
            } else {
                log::debug("names: {}", ares_strerror(status));
                answer = dns::failureOf(query, dns::Rcode::ServFail);
            }
            servers->m_numbers.erase(number);
            servers->m_loop.post([kept = servers, report = std::move(answered),
                                  text = std::move(answer)] { report(text); });
        }
    };

    std::uint16_t unguessed()
    {
        std::uniform_int_distribution<unsigned> any(0, 0xffff);
        while (true) {
            auto number = static_cast<std::uint16_t>(any(m_random));
            if (m_numbers.insert(number).second) return number;
        }
    }

    void watch(ares_socket_t socket, int readable, int writable)
    {
        int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
        auto known = m_polls.find(socket);
        if (!events) {
            if (known == m_polls.end()) return;
            uv_poll_stop(known->second->handle.get());  // c-ares closes the descriptor next.
            return void(m_polls.erase(known));
        }
        if (known == m_polls.end()) {
            known = m_polls.emplace(socket, std::make_unique<Watched>()).first;
            known->second->handle.reset(new uv_poll_t{});
            CHECK(uv_poll_init_socket(m_loop.uv(), known->second->handle.get(), socket) == 0);
            known->second->servers = this;
            known->second->socket = socket;
            known->second->handle->data = known->second.get();
        }
        uv_poll_start(known->second->handle.get(), events,
                      [](uv_poll_t* handle, int status, int what) {
                          if (!handle->data) return;
                          auto* watched = static_cast<Watched*>(handle->data);
                          bool read = status < 0 || (what & UV_READABLE);
                          bool write = status < 0 || (what & UV_WRITABLE);
                          watched->servers->process(read ? watched->socket : ARES_SOCKET_BAD,
                                                    write ? watched->socket : ARES_SOCKET_BAD);
                      });
    }

    void process(ares_socket_t read, ares_socket_t write)
    {
        auto kept = shared_from_this();
        ares_process_fd(m_channel, read, write);
        arm();
    }

    // For its time limits.
    void arm()
    {
        timeval left{};
        if (!ares_timeout(m_channel, nullptr, &left)) return m_timer.stop();
        Timer::Ms wait(left.tv_sec * 1000 + left.tv_usec / 1000 + 1);
        m_timer.after(wait, [this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); });
    }

    struct Watched {
        Servers* servers = nullptr;
        ares_socket_t socket = ARES_SOCKET_BAD;
        UvHandle<uv_poll_t> handle;
    };

    Loop& m_loop;
    Timer m_timer;
    std::map<ares_socket_t, std::unique_ptr<Watched>> m_polls;
    std::set<std::uint16_t> m_numbers;
    std::random_device m_random;
    ares_channel m_channel = nullptr;  // Dies first, and calls watch().
};

HostNames::HostNames(Loop& loop, Options options)
    : m_loop(loop), m_options(std::move(options)), m_hosts(m_options.hostsFile)
{
    refreshServers();
}

HostNames::~HostNames()
{
    m_servers->giveUp();
}

void HostNames::serve(StreamPtr client)
{
    auto place = m_clients.emplace(m_clients.end());
    auto came = [this, place](std::string_view query) {
        // Looked for, as the client may be gone when the answer comes.
        resolve(std::string(query), [this, asker = place->get()](const std::string& answer) {
            auto known = std::find_if(m_clients.begin(), m_clients.end(),
                                      [asker](const auto& each) { return each.get() == asker; });
            if (known != m_clients.end()) (*known)->send(answer);
        });
    };
    *place = std::make_unique<FramedStream>(
        std::move(client),
        FramedStream::Events{.came = came, .ended = [this, place] { m_clients.erase(place); }});
}

void HostNames::resolve(std::string query, Answered answered)
{
    if (query.size() < dns::kHeaderBytes) return;
    auto report = m_alive.wrap(std::move(answered));
    auto question = dns::questionOf(query);
    std::string answer = !question            ? dns::failureOf(query, dns::Rcode::NotImp)
                         : question->internet ? ownAnswer(query, *question)
                                              : "";
    if (!answer.empty())
        return m_loop.post([report, answer = std::move(answer)]() mutable { report(answer); });
    refreshServers();
    m_servers->ask(std::move(query), report);
}

// Of the hosts file, and for localhost (RFC 6761, 6.3). A name that it knows has no other
// addresses.
std::string HostNames::ownAnswer(const std::string& query, const dns::Question& question)
{
    std::vector<dns::Record> records;
    if (is(question, dns::Type::Ptr)) {
        auto address = dns::addressAskedFor(question.name);
        auto name = address ? m_hosts.nameOf(*address) : "";
        if (name.empty()) return "";
        records.push_back({dns::Type::Ptr, kHostsTtl, dns::nameData(name)});
        return dns::answerTo(query, question, records);
    }
    bool wantsIpv4 = is(question, dns::Type::A);
    if (!wantsIpv4 && !is(question, dns::Type::Aaaa)) return "";
    bool local = question.name == "localhost" || question.name.ends_with(".localhost");
    auto addresses =
        local ? std::vector<std::string>{"127.0.0.1", "::1"} : m_hosts.addressesOf(question.name);
    if (addresses.empty()) return "";
    for (std::string& address : addresses) {
        bool ofHost = !local && isLoopback(address);
        if (ofHost && address == "::1") continue;  // It is reached by IPv4.
        auto data = dns::addressData(ofHost ? m_options.hostAddress : address);
        bool isIpv4 = data.size() == sizeof(in_addr);
        if (data.empty() || isIpv4 != wantsIpv4) continue;
        records.push_back({wantsIpv4 ? dns::Type::A : dns::Type::Aaaa, kHostsTtl, data});
    }
    return dns::answerTo(query, question, records);
}

std::string HostNames::firstServer()
{
    refreshServers();
    return m_servers->first();
}

void HostNames::refreshServers()
{
    std::error_code missing;
    auto written = std::filesystem::last_write_time(m_options.resolvConf, missing);
    if (missing) written = {};
    if (m_servers && written == m_written) return;
    m_written = written;
    m_servers = std::make_shared<Servers>(m_loop, m_options);
}

}  // namespace slipway
