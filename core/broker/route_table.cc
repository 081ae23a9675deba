#include "core/broker/route_table.h"

#include <optional>
#include <utility>

#include "core/mqtt/topic.h"

namespace mqloop::broker {

namespace {

std::string_view first_level_of(std::string_view topic) noexcept { return topic.substr(0, topic.find('/')); }

std::uint64_t bit_of(unsigned reactor) noexcept { return std::uint64_t{1} << reactor; }

}  // namespace

RouteTable::RouteTable(unsigned reactors, TopicHash hash)
    : hash_(hash), readers_(reactors), tree_(hash), frontiers_(std::make_unique<Frontier[]>(reactors)) {
  publish_sizes();
}

RouteTable::~RouteTable() = default;

// --- Writing -------------------------------------------------------------------------------------------------------

// One filter on its way down the tree, over several holds when it is deep.
class RouteTable::Descent {
 public:
  Descent(RouteTable& table, std::string_view filter)
      : table_(table), node_(Tree::root_of(filter)), levels_(mqtt::Levels(filter).begin()) {}

  // True when the node of the whole filter is reached.
  bool go_on(std::size_t& budget) {
    for (; levels_ != mqtt::Levels::Iterator(); ++levels_) {
      if (budget == 0) return false;
      --budget;
      node_ = table_.step_down(node_, *levels_);
    }
    return true;
  }

  [[nodiscard]] std::uint32_t node() const noexcept { return node_; }
  void pin() noexcept { ++table_.tree_[node_].children; }
  void unpin() noexcept { --table_.tree_[node_].children; }

 private:
  RouteTable& table_;
  std::uint32_t node_;
  mqtt::Levels::Iterator levels_;
};

std::uint32_t RouteTable::step_down(std::uint32_t node, std::string_view level) {
  const std::uint64_t level_hash = hash_(level);
  if (const std::uint32_t child = tree_.child(node, level, level_hash); child != 0) return child;
  const std::uint32_t child = tree_.add_child(node, level, level_hash);
  Node& parent = tree_[node];
  ++parent.children;
  if (level == "+") parent.has_plus = 1;
  if (level == "#") parent.has_number_sign = 1;
  return child;
}

RouteTable::Added RouteTable::attach(std::uint32_t number, std::uint64_t reactor, std::string_view filter,
                                     bool durable) {
  Node& node = tree_[number];
  const bool created = node.generation == 0;
  if (created) {
    if (++last_generation_ == 0) ++last_generation_;
    node.generation = last_generation_;
    node.durable = 0;
    filters_.fetch_add(1, std::memory_order_relaxed);
  }
  if ((node.reactors & reactor) == 0 || (durable && node.durable == 0)) {
    node.reactors |= reactor;
    if (durable) node.durable = 1;
    bump(first_level_of(filter));
  }
  return {{number, node.generation}, created};
}

RouteTable::Added RouteTable::add(std::string_view filter, unsigned reactor, bool durable) {
  Added added;
  add({&filter, 1}, reactor, {&added, 1}, durable);
  return added;
}

void RouteTable::add(std::span<const std::string_view> filters, unsigned reactor, std::span<Added> added,
                     bool durable) {
  std::size_t done = 0;
  std::optional<Descent> descent;
  while (done < filters.size()) {
    {
      const ReaderLocks::Write hold(readers_);
      std::size_t budget = kEdgesPerHold;
      if (descent) descent->unpin();
      while (done < filters.size() && budget > 0) {
        if (!descent) descent.emplace(*this, filters[done]);
        if (!descent->go_on(budget)) break;
        added[done] = attach(descent->node(), bit_of(reactor), filters[done], durable);
        ++done;
        descent.reset();
      }
      if (descent) descent->pin();
      publish_sizes();
    }
    if (done < filters.size()) readers_.let_readers_in();
  }
}

bool RouteTable::remove(FilterId filter, unsigned reactor) { return remove({&filter, 1}, reactor) == 1; }

std::size_t RouteTable::remove(std::span<const FilterId> filters, unsigned reactor) {
  std::size_t done = 0;
  std::size_t gone = 0;
  std::uint32_t pinned = 0;  // a node whose last child is erased but still counted
  while (done < filters.size() || pinned != 0) {
    {
      const ReaderLocks::Write hold(readers_);
      std::size_t budget = kEdgesPerHold;
      if (pinned != 0) {
        --tree_[pinned].children;
        prune(std::exchange(pinned, 0), budget, pinned);
      }
      while (done < filters.size() && budget > 0) {
        if (detach(filters[done], bit_of(reactor), budget, pinned)) ++gone;
        ++done;
      }
      publish_sizes();
    }
    if (done < filters.size() || pinned != 0) readers_.let_readers_in();
  }
  return gone;
}

bool RouteTable::detach(FilterId filter, std::uint64_t reactor, std::size_t& budget, std::uint32_t& pinned) {
  --budget;
  Node* node = filter ? tree_.find(filter.slot) : nullptr;
  if (node == nullptr || node->generation != filter.generation || (node->reactors & reactor) == 0) return false;
  node->reactors &= ~reactor;
  std::uint32_t top = filter.slot;
  for (; !Tree::is_root(tree_[top].parent); top = tree_[top].parent) budget -= budget > 0 ? 1 : 0;
  bump(tree_[top].level.view());
  if (node->reactors != 0) return false;
  node->generation = 0;
  filters_.fetch_sub(1, std::memory_order_relaxed);
  prune(filter.slot, budget, pinned);
  return true;
}

// Erases `number` and what above it has no purpose left. When the budget ends first, the node to go on with is
// `pinned`: its children are counted one too many, so nobody else erases it.
void RouteTable::prune(std::uint32_t number, std::size_t& budget, std::uint32_t& pinned) {
  while (!Tree::is_root(number)) {
    const Node& node = tree_[number];
    if (node.generation != 0 || node.children != 0) return;
    const std::uint32_t parent_number = node.parent;
    Node& parent = tree_[parent_number];
    if (node.level == "+") parent.has_plus = 0;
    if (node.level == "#") parent.has_number_sign = 0;
    tree_.erase(number);
    if (budget <= 1) {
      budget = 0;
      pinned = parent_number;
      return;
    }
    --budget;
    --parent.children;
    number = parent_number;
  }
}

void RouteTable::bump(std::string_view first_level) {
  const bool leading_wildcard = first_level == "+" || first_level == "#";
  std::atomic<std::uint64_t>& version =
      leading_wildcard ? wildcard_version_ : versions_[hash_(first_level) % kVersionSlots];
  version.fetch_add(1, std::memory_order_release);
}

void RouteTable::publish_sizes() noexcept {
  nodes_.store(tree_.size(), std::memory_order_relaxed);
  footprint_.store(tree_.footprint(), std::memory_order_relaxed);
}

// --- Reading -------------------------------------------------------------------------------------------------------

void RouteTable::emit(std::uint32_t slot, const Node& node, MatchResult& out) {
  out.matches.push_back({{slot, node.generation}, node.reactors});
  out.reactors |= node.reactors;
  out.durable |= node.durable != 0;
}

void RouteTable::emit_rest(std::uint32_t number, MatchResult& out) const {
  const std::uint32_t rest = tree_.number_sign_child(number);
  if (tree_[rest].generation != 0) emit(rest, tree_[rest], out);
}

// From one node that the levels so far have led to, by one level more.
void RouteTable::spread(std::uint32_t number, std::string_view level, std::uint64_t level_hash,
                        std::vector<std::uint32_t>& next, MatchResult& out) const {
  const Node& node = tree_[number];
  if (node.has_number_sign) emit_rest(number, out);
  if (node.has_plus) next.push_back(tree_.plus_child(number));
  if (node.children > node.has_plus + node.has_number_sign) {
    if (const std::uint32_t child = tree_.child(number, level, level_hash); child != 0) next.push_back(child);
  }
}

void RouteTable::match(std::string_view topic, unsigned reader, MatchResult& out) {
  out.matches.clear();
  out.reactors = 0;
  out.durable = false;
  const mqtt::Levels levels(topic);
  const auto first = levels.begin();
  std::uint64_t level_hash = hash_(*first);
  out.version_slot = static_cast<std::uint16_t>(level_hash % kVersionSlots);

  const ReaderLocks::Read hold(readers_, reader);
  out.version = version(out.version_slot);
  auto& [now, next] = frontiers_[reader];
  now.assign(1, Tree::root_of(topic));
  for (auto level = first; level != levels.end() && !now.empty(); ++level) {
    if (level != first) level_hash = hash_(*level);
    next.clear();
    for (const std::uint32_t number : now) spread(number, *level, level_hash, next, out);
    now.swap(next);
  }
  for (const std::uint32_t number : now) {
    const Node& node = tree_[number];
    if (node.generation != 0) emit(number, node, out);
    if (node.has_number_sign) emit_rest(number, out);  // "sport/#" matches "sport" too (4.7.1.2)
  }
}

FilterId RouteTable::find(std::string_view filter, unsigned reader) {
  const ReaderLocks::Read hold(readers_, reader);
  std::uint32_t number = Tree::root_of(filter);
  for (const std::string_view level : mqtt::Levels(filter)) {
    number = tree_.child(number, level, hash_(level));
    if (number == 0) return {};
  }
  const std::uint32_t generation = tree_[number].generation;
  return generation == 0 ? FilterId() : FilterId{number, generation};
}

std::string RouteTable::filter_text(FilterId filter, unsigned reader) {
  const ReaderLocks::Read hold(readers_, reader);
  const Node* node = filter ? tree_.find(filter.slot) : nullptr;
  if (node == nullptr || node->generation != filter.generation) return {};
  return tree_.text(filter.slot);
}

std::uint64_t RouteTable::reactors(FilterId filter, unsigned reader) {
  const ReaderLocks::Read hold(readers_, reader);
  const Node* node = filter ? tree_.find(filter.slot) : nullptr;
  return node == nullptr || node->generation != filter.generation ? 0 : node->reactors;
}

}  // namespace mqloop::broker
