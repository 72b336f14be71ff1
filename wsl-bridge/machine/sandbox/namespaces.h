// A process in namespaces of its own, made by clone3, with a line to its maker.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <sys/types.h>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "wsl-bridge/machine/sandbox/user_map.h"

namespace slipway {

// One end of the line: whole messages, in order. Its other end's death is an empty message.
class Line {
public:
    explicit Line(Descriptor socket) : m_socket(std::move(socket)) {}
    Result<> send(const std::string& message) const;
    Result<std::string> receive() const;

private:
    Descriptor m_socket;
};

struct NewProcess {
    pid_t pid = -1;
    Descriptor pidfd;
    Line line;
};

// What a child's last words on the line were.
Error errorFrom(const std::string& message);

// Runs `body` in a child with `flags` (CLONE_NEW…); with CLONE_NEWUSER it begins once `map` is
// applied. The child is a sibling: its parent is ours (CLONE_PARENT), which reaps it. `body` gets
// its end of the line; the error it returns is sent through it, and the child ends.
using ChildBody = std::function<Result<>(const Line&)>;
Result<NewProcess> cloneInto(std::uint64_t flags, const std::optional<UserMap>& map,
                             const ChildBody& body);

// The same to its end, as our own child: only a user namespace, for files that belong to sub-ids.
Result<> runAsMappedRoot(const std::optional<UserMap>& map, const std::function<Result<>()>& body);

// Whether these can be made, and `body` succeeds in them: does it, in a child of ours that ends
// with it. With a map also in a user namespace of that map.
Result<> tryNamespaces(std::uint64_t flags, const std::function<Result<>()>& body,
                       const std::optional<UserMap>& map = std::nullopt);

}  // namespace slipway
