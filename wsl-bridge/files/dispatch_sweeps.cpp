// Answers ahead for a sweep: a tool that goes over a tree lists its folders and reads their files,
// one after the other (find, grep -r, git status, a bundler).
//
// Theory of operation. Behind the answer to what begins like a sweep, the agent is told of what
// comes next, while the tool is at work on what it has:
// - The listings below a folder, with the entries in them, where it was listed or more than one of
//   its names was asked for, and the folder above it likewise.
// - The contents of the small files beside one that is read, where more than one is, and from then
//   on those of some more folders with their listings.
// How it is kept true is in the head of dispatch_ahead.cpp. Files and folders are looked at without
// Share::mutex here; so under it, what is told must have the same times as before, and have had
// them long enough for any change since to show.
#include <chrono>

#include "shared/core/error.h"
#include "wsl-bridge/files/dispatcher.h"
#include "wsl-bridge/files/listing.h"
#include "wsl-bridge/files/tell_ahead.h"

namespace slipway {
namespace {

constexpr int kFoldersBelow = 32;                    // That are listed at a time.
constexpr std::size_t kMaxListingBytes = 16 * 1024;  // Of such a folder: some 400 names.
constexpr std::uint32_t kFilesReadFirst = 2;         // The second file read brings the others,
constexpr std::uint32_t kFilesReadEvery = 64;        // every so often again,
constexpr int kListingsWithContents = 64;            // and as many folders theirs.
constexpr std::size_t kMaxFiles = 64;                // Of a folder at a time.
constexpr std::size_t kMaxFolderBytes = 256 * 1024;
constexpr std::uint64_t kMaxFileBytes = 32 * 1024;
constexpr std::chrono::milliseconds kTimeGrain{20};

// Whether a change from now on will show in its times, which may be no finer than the kernel's
// tick.
bool isAtRest(const FileFacts& facts)
{
    using namespace std::chrono;
    auto changed = seconds(facts.changed.seconds) + nanoseconds(facts.changed.nanoseconds);
    return system_clock::now().time_since_epoch() - changed > kTimeGrain;
}

bool hasSameContents(const FileFacts& one, const FileFacts& other)
{
    return one.identity == other.identity && one.size == other.size &&
           one.modified == other.modified && one.changed == other.changed;
}

bool mayTellContents(const Node& node)
{
    return node.isRegular() && node.lookups > 0 && node.ownChanges == 0 &&
           !node.contentsToldAhead && node.seenSize() > 0 && node.seenSize() <= kMaxFileBytes;
}

}  // namespace

// From its beginning. This and the next are called behind the answer: who asked goes on meanwhile.
void Dispatcher::fileRead(Call& call)
{
    std::uint64_t folder = 0;
    {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(call.header.nodeid);
        if (!node) return;
        node->contentsToldAhead = false;
        Node* parent = m_share.nodes.parentOf(*node);
        if (!parent || parent->countFileRead() % kFilesReadEvery != kFilesReadFirst) return;
        folder = parent->id;
    }
    m_listingsWithContents = kListingsWithContents;
    contentsAhead(call, folder);
    call.stream.flush();
}

void Dispatcher::folderListed(Call& call)
{
    bool sweeps = false;
    {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(call.header.nodeid);
        if (!node) return;
        node->wasListed = true;
        Node* parent = m_share.nodes.parentOf(*node);
        sweeps = parent && parent->wasListed;
    }
    listingIsOut(call, call.header.nodeid);
    int left = kFoldersBelow;
    if (sweeps) foldersBelowAhead(call, call.header.nodeid, left);
}

// A tool that knows the names asks for them folder by folder.
void Dispatcher::namesSwept(Call& call, std::uint64_t folder)
{
    {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(folder);
        Node* parent = node ? m_share.nodes.parentOf(*node) : nullptr;
        if (!parent || parent->namesAsked() < 2) return;
    }
    int left = kFoldersBelow;
    foldersBelowAhead(call, folder, left);
}

void Dispatcher::listingIsOut(Call& call, std::uint64_t folder)
{
    if (m_listingsWithContents > 0 && m_listingsWithContents-- > 0) contentsAhead(call, folder);
    call.stream.flush();
}

// Each with all below it before the next, as a tool goes on; `left` more at most.
void Dispatcher::foldersBelowAhead(Call& call, std::uint64_t folder, int& left)
{
    std::vector<std::uint64_t> below;
    {
        std::lock_guard lock(m_share.mutex);
        m_share.nodes.forEachChild(folder, [&](const std::string&, const Node& child) {
            if (child.isDirectory() && child.lookups > 0 && !child.wasListed)
                below.push_back(child.id);
        });
    }
    for (std::uint64_t each : below) {
        if (left == 0) return;
        if (!listingAhead(call, each)) continue;
        --left;
        listingIsOut(call, each);
        foldersBelowAhead(call, each, left);
    }
}

// Null: not every change in it would be heard of, or it is not there any more.
HandlePtr Dispatcher::watchedFolder(std::uint64_t folder)
{
    Node* node = m_share.nodes.find(folder);
    if (!node || m_coherence.entrySeconds(*node) != Coherence::kForever) return nullptr;
    return m_share.nodes.handleOf(*node).value_or(nullptr);
}

bool Dispatcher::listingAhead(Call& call, std::uint64_t folder)
{
    HandlePtr directory;
    {
        std::lock_guard lock(m_share.mutex);
        directory = watchedFolder(folder);
    }
    if (!directory) return false;
    auto before = m_share.tree.facts(*directory);
    if (!before || !isAtRest(*before)) return false;
    std::vector<std::byte> room;
    Listing listing(room, kMaxListingBytes, false);
    std::vector<std::string> names;
    bool whole = true;
    auto listed = m_share.tree.list(*directory, 0, [&](const DirectoryEntry& entry) {
        whole = listing.fits(entry.name);
        if (!whole) return false;
        listing.add(entry, {});
        if (!entry.isDot()) names.emplace_back(entry.name);
        return true;
    });
    if (!listed || !whole) return false;
    for (auto& name : names) entryAhead(call, {folder, directory, std::move(name)});

    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.find(folder);
    if (!node || node->lookups == 0 || node->ownChanges > 0) return false;
    auto facts = m_share.tree.facts(*directory);
    if (!facts || !hasSameContents(*facts, *before)) return false;
    auto attributes = attributesOf(*node, *facts);
    if (attributes.attrValid != Coherence::kForever) return false;
    tellAhead(call.stream, {folder, fuse::Opcode::Getattr, 0, 0}, {}, bytesOfValue(attributes));
    tellAhead(call.stream, {folder, fuse::Opcode::Readdir, 0, 0}, {}, listing.bytes());
    node->toldAhead = node->wasListed = true;
    return true;
}

void Dispatcher::contentsAhead(Call& call, std::uint64_t folder)
{
    HandlePtr directory;
    std::vector<std::pair<std::string, std::uint32_t>> files;
    {
        std::lock_guard lock(m_share.mutex);
        directory = watchedFolder(folder);
        if (!directory) return;
        m_share.nodes.forEachChild(folder, [&](const std::string& name, const Node& child) {
            if (files.size() < kMaxFiles && child.id != call.header.nodeid &&
                mayTellContents(child))
                files.emplace_back(name, child.ownChangesBegun);
        });
    }
    std::size_t bytes = 0;
    for (const auto& [name, changesBegun] : files) {
        if (bytes >= kMaxFolderBytes) break;
        bytes += contentsAhead(call, {folder, directory, name}, changesBegun);
    }
}

// How many bytes; 0 where the file is not, or may not be, what it was when its changes were
// counted.
std::size_t Dispatcher::contentsAhead(Call& call, const At& where, std::uint32_t changesBegun)
{
    auto file = m_share.tree.openChild(*where.directory, where.name);
    if (!file) return 0;
    auto before = m_share.tree.facts(**file);
    bool isSmall = before && (before->mode & fuse::kTypeMask) == fuse::kTypeRegular &&
                   before->size <= kMaxFileBytes;
    if (!isSmall || !isAtRest(*before)) return 0;
    auto contents = m_share.tree.peek(**file, before->size);
    if (!contents || contents->size() != before->size) return 0;

    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.childOf(where.parent, where.name);
    bool isUntouched = node && node->identity == before->identity && mayTellContents(*node) &&
                       node->ownChangesBegun == changesBegun;
    if (!isUntouched) return 0;
    auto facts = m_share.tree.facts(**file);
    if (!facts || !hasSameContents(*facts, *before)) return 0;
    auto attributes = attributesOf(*node, *facts);
    if (attributes.attrValid != Coherence::kForever) return 0;
    tellAhead(call.stream, {node->id, fuse::Opcode::Getattr, 0, 0}, {}, bytesOfValue(attributes));
    tellAhead(call.stream, {node->id, fuse::Opcode::Read, 0, 0}, {}, *contents);
    node->toldAhead = node->contentsToldAhead = true;
    return contents->size();
}

}  // namespace slipway
