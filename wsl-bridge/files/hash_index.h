// A hash index over objects that have its hook in them, so that being found costs an object no
// allocation of its own: boost::intrusive::unordered_set, with buckets that grow.
#pragma once

#include <cstddef>
#include <vector>

#include <boost/intrusive/unordered_set.hpp>

namespace slipway {

template <class Tag>
using HashHook = boost::intrusive::unordered_set_base_hook<boost::intrusive::tag<Tag>>;

// By::keyOf(object) is what an object is found by, By::hash(key) its hash. Of objects with equal
// keys only the first is in it.
template <class Object, class Tag, class By>
class HashIndex {
public:
    HashIndex() : m_buckets(kFirst), m_set(traits()) {}

    template <class Key>
    Object* find(const Key& key)
    {
        auto hash = [](const Key& wanted) { return By::hash(wanted); };
        auto equal = [](const Key& wanted, const Object& object) {
            return wanted == By::keyOf(object);
        };
        auto found = m_set.find(key, hash, equal);
        return found == m_set.end() ? nullptr : &*found;
    }
    void insert(Object& object)
    {
        if (m_set.size() >= m_buckets.size()) grow();
        m_set.insert(object);
    }
    void erase(Object& object) { m_set.erase(m_set.iterator_to(object)); }
    void clear() { m_set.clear(); }
    template <class Dispose>
    void clear(const Dispose& dispose)
    {
        m_set.clear_and_dispose(dispose);
    }

    std::size_t size() const { return m_set.size(); }
    auto begin() { return m_set.begin(); }
    auto end() { return m_set.end(); }
    auto begin() const { return m_set.begin(); }
    auto end() const { return m_set.end(); }

private:
    struct Hash {
        std::size_t operator()(const Object& object) const { return By::hash(By::keyOf(object)); }
    };
    struct Equal {
        bool operator()(const Object& one, const Object& other) const
        {
            return By::keyOf(one) == By::keyOf(other);
        }
    };
    using Set = boost::intrusive::unordered_set<
        Object, boost::intrusive::base_hook<HashHook<Tag>>, boost::intrusive::hash<Hash>,
        boost::intrusive::equal<Equal>, boost::intrusive::power_2_buckets<true>>;
    using Buckets = std::vector<typename Set::bucket_type>;
    static constexpr std::size_t kFirst = 64;

    typename Set::bucket_traits traits() { return {m_buckets.data(), m_buckets.size()}; }
    void grow()
    {
        Buckets larger(m_buckets.size() * 2);
        m_set.rehash({larger.data(), larger.size()});
        m_buckets.swap(larger);
    }

    Buckets m_buckets;
    Set m_set;
};

}  // namespace slipway
