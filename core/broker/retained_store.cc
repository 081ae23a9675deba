#include "core/broker/retained_store.h"

#include <mutex>
#include <utility>

#include "core/mqtt/topic.h"

namespace mqloop::broker {

RetainedStore::RetainedStore(unsigned readers, TopicHash hash)
    : readers_(readers), value_locks_(std::make_unique<ValueLock[]>(kValueLocks)), tree_(hash) {
  publish_sizes();
}

RetainedStore::~RetainedStore() = default;

// --- Values --------------------------------------------------------------------------------------------------------

std::uint32_t RetainedStore::walk(std::string_view topic) const {
  std::uint32_t number = Tree::root_of(topic);
  for (const std::string_view level : mqtt::Levels(topic)) {
    number = tree_.child(number, level, tree_.hash()(level));
    if (number == 0) break;
  }
  return number;
}

// The sequence is drawn here, where the value becomes visible: whoever sees the number and then takes the lock sees the
// value, or a later one.
RetainedStore::Change RetainedStore::exchange(Node& node, Ref<const Message> message) noexcept {
  if (message) {
    count_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(message->footprint(), std::memory_order_relaxed);
  }
  if (node.message) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(node.message->footprint(), std::memory_order_relaxed);
  }
  node.sequence = sequence_.fetch_add(1, std::memory_order_acq_rel) + 1;
  return {std::exchange(node.message, std::move(message)), node.sequence};
}

RetainedStore::Change RetainedStore::store(Ref<const Message> message, unsigned reader) {
  {
    const ReaderLocks::Read hold(readers_, reader);
    if (const std::uint32_t number = walk(message->topic()); number != 0) {
      const std::lock_guard value(value_lock(number));
      return exchange(tree_[number], std::move(message));
    }
  }
  return create(std::move(message));
}

RetainedStore::Change RetainedStore::clear(std::string_view topic, unsigned reader) {
  Change change;
  std::uint32_t empty = 0;
  {
    const ReaderLocks::Read hold(readers_, reader);
    const std::uint32_t number = walk(topic);
    if (number == 0) return {nullptr, sequence_.fetch_add(1, std::memory_order_acq_rel) + 1};
    Node& node = tree_[number];
    const std::lock_guard value(value_lock(number));
    change = exchange(node, nullptr);
    if (node.first_child == 0) {
      ++node.pins;
      empty = number;
    }
  }
  if (empty != 0) unpin_all({&empty, 1});
  return change;
}

Retained RetainedStore::get(std::string_view topic, unsigned reader) {
  const ReaderLocks::Read hold(readers_, reader);
  const std::uint32_t number = walk(topic);
  if (number == 0) return {};
  const std::lock_guard value(value_lock(number));
  const Node& node = tree_[number];
  return node.message ? Retained{node.message, node.sequence} : Retained();
}

bool RetainedStore::sweep_slice(RetainedCursor& cursor, Judge judge, void* context, std::size_t budget,
                                std::vector<Ref<const Message>>& removed) {
  std::vector<std::uint32_t> empty;
  const bool more = cursor.advance(budget, [&](std::uint32_t number) {
    const std::lock_guard value(value_lock(number));
    Node& node = tree_[number];
    if (!node.message || !judge(context, *node.message)) return;
    removed.push_back(exchange(node, nullptr).previous);
    if (node.first_child != 0) return;
    ++node.pins;
    empty.push_back(number);
  });
  unpin_all(empty);
  return more;
}

// --- Structure -----------------------------------------------------------------------------------------------------

std::uint32_t RetainedStore::step_down(std::uint32_t number, std::string_view level) {
  const std::uint64_t level_hash = tree_.hash()(level);
  if (const std::uint32_t child = tree_.child(number, level, level_hash); child != 0) return child;
  const std::uint32_t child = tree_.add_child(number, level, level_hash);
  Node& parent = tree_[number];
  tree_[child].next = parent.first_child;
  if (parent.first_child != 0) tree_[parent.first_child].previous = child;
  parent.first_child = child;
  return child;
}

RetainedStore::Change RetainedStore::create(Ref<const Message> message) {
  const std::string_view topic = message->topic();
  std::uint32_t number = Tree::root_of(topic);
  auto level = mqtt::Levels(topic).begin();
  for (bool pinned = false;; readers_.let_readers_in()) {
    const ReaderLocks::Write hold(readers_);
    if (std::exchange(pinned, false)) --tree_[number].pins;
    for (std::size_t edges = 0; level != mqtt::Levels::Iterator() && edges < kEdgesPerHold; ++edges, ++level) {
      number = step_down(number, *level);
    }
    publish_sizes();
    if (level == mqtt::Levels::Iterator()) return exchange(tree_[number], std::move(message));
    ++tree_[number].pins;
    pinned = true;
  }
}

// Takes a pin away where the node has another reason to stay; false when it may have none.
bool RetainedStore::unpin_in_use(std::uint32_t number) {
  const std::lock_guard value(value_lock(number));
  Node& node = tree_[number];
  if (!Tree::is_root(number) && !node.message && node.first_child == 0) return false;
  --node.pins;
  return true;
}

void RetainedStore::unpin_all(std::span<const std::uint32_t> numbers) {
  std::uint32_t pinned = 0;
  for (std::size_t done = 0; done < numbers.size() || pinned != 0; readers_.let_readers_in()) {
    const ReaderLocks::Write hold(readers_);
    std::size_t budget = kEdgesPerHold;
    while (budget > 0 && (pinned != 0 || done < numbers.size())) {
      const std::uint32_t number = pinned != 0 ? std::exchange(pinned, 0) : numbers[done++];
      --tree_[number].pins;
      prune(number, budget, pinned);
    }
    publish_sizes();
  }
}

// Erases `number` and what above it has no purpose left; when the budget ends first, pins the node to go on with.
void RetainedStore::prune(std::uint32_t number, std::size_t& budget, std::uint32_t& pinned) {
  for (--budget; !Tree::is_root(number); --budget) {
    const Node& node = tree_[number];
    if (node.message || node.first_child != 0 || node.pins != 0) return;
    const std::uint32_t parent = node.parent;
    if (budget == 0) {
      ++tree_[number].pins;
      pinned = number;
      return;
    }
    if (node.previous != 0) {
      tree_[node.previous].next = node.next;
    } else {
      tree_[parent].first_child = node.next;
    }
    if (node.next != 0) tree_[node.next].previous = node.previous;
    tree_.erase(number);
    number = parent;
  }
}

void RetainedStore::publish_sizes() noexcept {
  nodes_.store(tree_.size(), std::memory_order_relaxed);
  footprint_.store(tree_.footprint(), std::memory_order_relaxed);
}

// --- RetainedCursor ------------------------------------------------------------------------------------------------

RetainedCursor::RetainedCursor(RetainedStore& store, std::string_view filter, unsigned reader)
    : RetainedCursor(store, filter, reader, Scope::kFilter) {}

RetainedCursor::RetainedCursor(RetainedStore& store, std::string_view filter, unsigned reader, Scope scope)
    : store_(store), filter_(filter), scope_(scope), reader_(reader), node_(RetainedStore::Tree::root_of(filter)) {
  for (const std::string_view level : mqtt::Levels(filter_)) {
    if (level == "#") {
      rest_ = true;
    } else {
      levels_.push_back({level, store_.tree_.hash()(level)});
    }
  }
}

RetainedCursor::~RetainedCursor() { leave(); }

void RetainedCursor::leave() noexcept {
  if (!std::exchange(pinned_, false)) return;
  {
    const ReaderLocks::Read hold(store_.readers_, reader_);
    if (store_.unpin_in_use(node_)) return;
  }
  store_.unpin_all({&node_, 1});
}

// Do the nodes at `depth` lead to all their children, or to the one that the filter names?
bool RetainedCursor::all_children(std::size_t depth) const noexcept {
  return depth >= levels_.size() || levels_[depth].text == "+";
}

std::uint32_t RetainedCursor::down() const {
  const RetainedStore::Tree& tree = store_.tree_;
  if (depth_ >= levels_.size() && !rest_) return 0;
  if (all_children(depth_)) return tree[node_].first_child;
  return tree.child(node_, levels_[depth_].text, levels_[depth_].hash);
}

// To the next node in depth-first order, by the tree's own links; false at the end.
bool RetainedCursor::step() {
  const RetainedStore::Tree& tree = store_.tree_;
  if (const std::uint32_t child = down(); child != 0) {
    node_ = child;
    ++depth_;
    return true;
  }
  for (; depth_ > 0; --depth_, node_ = tree[node_].parent) {
    const std::uint32_t sibling = all_children(depth_ - 1) ? tree[node_].next : 0;
    if (sibling == 0) continue;
    node_ = sibling;
    return true;
  }
  if (scope_ == Scope::kFilter || node_ == RetainedStore::Tree::kDollarRoot) return false;
  node_ = RetainedStore::Tree::kDollarRoot;
  return true;
}

template <typename Visit>
bool RetainedCursor::advance(std::size_t budget, Visit&& visit) {
  if (finished_) return false;
  const std::uint32_t came_from = node_;
  const bool was_pinned = std::exchange(pinned_, false);
  bool unpinned = !was_pinned;
  {
    const ReaderLocks::Read hold(store_.readers_, reader_);
    std::size_t left = budget;
    do {
      if (!step()) {
        finished_ = true;
        break;
      }
      if (depth_ >= levels_.size()) visit(node_);
    } while (left-- > 1);
    if (!finished_) {
      const std::lock_guard value(store_.value_lock(node_));
      ++store_.tree_[node_].pins;
      pinned_ = true;
    }
    if (was_pinned) unpinned = store_.unpin_in_use(came_from);
  }
  if (!unpinned) store_.unpin_all({&came_from, 1});
  return !finished_;
}

bool RetainedCursor::next(std::size_t budget, std::vector<Retained>& out) {
  return advance(budget, [&](std::uint32_t number) {
    const std::lock_guard value(store_.value_lock(number));
    const RetainedStore::Node& node = store_.tree_[number];
    if (node.message) out.push_back({node.message, node.sequence});
  });
}

}  // namespace mqloop::broker
