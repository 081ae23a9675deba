// A doubly linked list whose links lie inside the elements: linking and unlinking never allocate. An element derives
// from ListNode<Tag>, once for each list that it may be in at a time. The list does not own its elements; an element
// that is destroyed takes itself out, and a list that is destroyed lets all of them go. One thread at a time.
#pragma once

#include <cassert>
#include <iterator>
#include <utility>

namespace mqloop {

template <typename Tag = void>
class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  [[nodiscard]] bool linked() const noexcept { return next_ != this; }

  void unlink() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = this;
  }

 private:
  template <typename T, typename AnyTag>
  friend class IntrusiveList;

  void link_before(ListNode& position) noexcept {
    assert(!linked());
    previous_ = position.previous_;
    next_ = &position;
    previous_->next_ = this;
    position.previous_ = this;
  }

  ListNode* previous_ = this;
  ListNode* next_ = this;
};

template <typename T, typename Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  // Stays valid while other elements come and go; take the next one before the element itself goes.
  class iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    iterator() noexcept = default;
    T& operator*() const noexcept { return *static_cast<T*>(node_); }
    T* operator->() const noexcept { return static_cast<T*>(node_); }
    iterator& operator++() noexcept {
      node_ = node_->next_;
      return *this;
    }
    iterator operator++(int) noexcept { return iterator(std::exchange(node_, node_->next_)); }
    iterator& operator--() noexcept {
      node_ = node_->previous_;
      return *this;
    }
    iterator operator--(int) noexcept { return iterator(std::exchange(node_, node_->previous_)); }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.node_ == b.node_; }

   private:
    friend class IntrusiveList;
    explicit iterator(Node* node) noexcept : node_(node) {}
    Node* node_ = nullptr;
  };

  IntrusiveList() noexcept = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return !end_.linked(); }
  iterator begin() noexcept { return iterator(end_.next_); }
  iterator end() noexcept { return iterator(&end_); }

  T& front() noexcept {
    assert(!empty());
    return *static_cast<T*>(end_.next_);
  }
  T& back() noexcept {
    assert(!empty());
    return *static_cast<T*>(end_.previous_);
  }

  void push_back(T& element) noexcept { static_cast<Node&>(element).link_before(end_); }
  void push_front(T& element) noexcept { static_cast<Node&>(element).link_before(*end_.next_); }
  void insert(iterator before, T& element) noexcept { static_cast<Node&>(element).link_before(*before.node_); }

  // Unlinks and returns the first element, or null when there is none.
  T* pop_front() noexcept {
    if (empty()) return nullptr;
    Node* node = end_.next_;
    node->unlink();
    return static_cast<T*>(node);
  }

  static void erase(T& element) noexcept { static_cast<Node&>(element).unlink(); }
  // Whether `element` is in this list or another one of the same tag.
  static bool contains(const T& element) noexcept { return static_cast<const Node&>(element).linked(); }

  // Moves everything from `other` to the end of this list, in its order.
  void splice_back(IntrusiveList& other) noexcept {
    if (other.empty()) return;
    Node* first = other.end_.next_;
    Node* last = other.end_.previous_;
    other.end_.previous_ = other.end_.next_ = &other.end_;
    first->previous_ = end_.previous_;
    last->next_ = &end_;
    end_.previous_->next_ = first;
    end_.previous_ = last;
  }

  // Unlinks all elements.
  void clear() noexcept {
    while (pop_front() != nullptr) {
    }
  }

 private:
  Node end_;
};

}  // namespace mqloop
