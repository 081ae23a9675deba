// LevelTree<Node>: topics or filters as a tree of levels, kept flat: every edge of the tree is one entry of one
// HashIndex, keyed (parent node, level hash), and the level's bytes are compared on a hit. What a node says beyond its
// place is the user's, who derives it from LevelNode.
// Topics that begin with $ have a root of their own, so that a leading wildcard cannot reach them [MQTT-4.7.2-1].
// No locks, no recursion. Invariant: a node's parent exists; roots exist always.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/broker/hash_index.h"
#include "core/broker/node_pool.h"
#include "core/broker/short_text.h"
#include "core/broker/topic_hash.h"

namespace mqloop::broker {

struct LevelNode {
  ShortText level;
  std::uint32_t parent = 0;
  std::uint32_t hash = 0;  // of the edge that leads here
};

template <typename Node>
class LevelTree {
 public:
  static constexpr std::uint32_t kPlainRoot = 1;
  static constexpr std::uint32_t kDollarRoot = 2;

  explicit LevelTree(TopicHash hash) : hash_(hash), plus_hash_(hash("+")), number_sign_hash_(hash("#")) {
    pool_.take();  // number 0 says "none"
    pool_.take();
    pool_.take();
  }

  [[nodiscard]] const TopicHash& hash() const noexcept { return hash_; }

  [[nodiscard]] static std::uint32_t root_of(std::string_view topic) noexcept {
    return topic.starts_with('$') ? kDollarRoot : kPlainRoot;
  }
  [[nodiscard]] static bool is_root(std::uint32_t number) noexcept { return number <= kDollarRoot; }

  [[nodiscard]] Node& operator[](std::uint32_t number) noexcept { return pool_[number]; }
  [[nodiscard]] const Node& operator[](std::uint32_t number) const noexcept { return pool_[number]; }
  // For a number from outside: null, or a Node that may be unused.
  [[nodiscard]] Node* find(std::uint32_t number) noexcept { return pool_.find(number); }

  // The child by `level`, whose hash is `level_hash`; 0 when there is none.
  [[nodiscard]] std::uint32_t child(std::uint32_t parent, std::string_view level,
                                    std::uint64_t level_hash) const noexcept {
    return index_.find(hash_.edge(parent, level_hash), [&](std::uint32_t number) {
      const Node& node = pool_[number];
      return node.parent == parent && node.level == level;
    });
  }
  [[nodiscard]] std::uint32_t plus_child(std::uint32_t parent) const noexcept { return child(parent, "+", plus_hash_); }
  [[nodiscard]] std::uint32_t number_sign_child(std::uint32_t parent) const noexcept {
    return child(parent, "#", number_sign_hash_);
  }

  // The caller knows that `parent` has no such child yet.
  std::uint32_t add_child(std::uint32_t parent, std::string_view level, std::uint64_t level_hash) {
    const std::uint32_t number = pool_.take();
    Node& node = pool_[number];
    node.level = ShortText(level);
    node.parent = parent;
    node.hash = hash_.edge(parent, level_hash);
    text_bytes_ += node.level.footprint();
    index_.insert(node.hash, number);
    return number;
  }

  // `number` has no children and is no root.
  void erase(std::uint32_t number) noexcept {
    Node& node = pool_[number];
    text_bytes_ -= node.level.footprint();
    index_.erase(node.hash, number);
    pool_.give_back(number);
  }

  // The topic or filter that ends in `number`.
  [[nodiscard]] std::string text(std::uint32_t number) const {
    std::size_t size = 0;
    for (std::uint32_t n = number; !is_root(n); n = pool_[n].parent) size += pool_[n].level.view().size() + 1;
    if (size == 0) return {};
    std::string text(size - 1, '/');
    std::size_t end = text.size();
    for (std::uint32_t n = number;; n = pool_[n].parent) {
      const std::string_view level = pool_[n].level.view();
      end -= level.size();
      level.copy(text.data() + end, level.size());
      if (end == 0) return text;
      --end;
    }
  }

  // Nodes besides the roots.
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }
  [[nodiscard]] std::size_t footprint() const noexcept { return pool_.footprint() + index_.footprint() + text_bytes_; }

 private:
  TopicHash hash_;
  std::uint64_t plus_hash_;
  std::uint64_t number_sign_hash_;
  NodePool<Node> pool_;
  HashIndex index_;
  std::size_t text_bytes_ = 0;
};

}  // namespace mqloop::broker
