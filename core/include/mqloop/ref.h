// Counted references. Ref<T> holds an object that carries its own count: T offers add_ref() and drop_ref(), both const
// and noexcept, and is born with a count of one, which Ref<T>::adopt takes over. SharedObject is the ready-made base:
// immutable once shared, counted across threads, deleted by whoever drops the last reference.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <mqloop/export.h>

namespace mqloop {

template <typename T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)
  // Takes over the reference that the caller holds.
  static Ref adopt(T* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  // Adds a reference of its own to an object that somebody else holds.
  static Ref share(T* object) noexcept {
    if (object != nullptr) object->add_ref();
    return adopt(object);
  }
  Ref(const Ref& other) noexcept : object_(other.object_) {
    if (object_ != nullptr) object_->add_ref();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
  Ref(Ref<U> other) noexcept : object_(other.release()) {}  // NOLINT(google-explicit-constructor): Derived to Base
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop_ref();
  }

  // Hands the reference to the caller, who drops it or adopts it.
  [[nodiscard]] T* release() noexcept { return std::exchange(object_, nullptr); }
  [[nodiscard]] T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

class MQLOOP_API SharedObject {
 public:
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  void add_ref() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_ref() const noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  SharedObject() noexcept = default;
  virtual ~SharedObject();

 private:
  mutable std::atomic<std::uint32_t> references_{1};
};

}  // namespace mqloop
