// What the parts of the file server have in common: the nodes, the grants, and the lock around
// both.
#pragma once

#include <memory>
#include <mutex>

#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/grants.h"
#include "wsl-bridge/files/intents.h"
#include "wsl-bridge/files/node_store.h"
#include "wsl-bridge/files/node_table.h"

namespace slipway {

struct Share {
    const FileTree& tree;
    NodeStore& store;
    Intents& intents;

    std::mutex mutex;  // Guards all below.
    NodeTable nodes;
    Grants grants;
    KernelSession session;
};

}  // namespace slipway
