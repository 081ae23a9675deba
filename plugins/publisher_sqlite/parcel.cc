#include "plugins/publisher_sqlite/parcel.h"

#include <cstring>

namespace mqloop::publisher_sqlite {

namespace {

// What an unusual turn has needed is not kept for ever.
constexpr std::size_t kKeptEntries = 16384;
constexpr std::size_t kKeptText = std::size_t{256} * 1024;

void put_size(std::string& text, std::size_t size) {
  const auto number = static_cast<std::uint32_t>(size);
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::size_t get_size(const std::string& text, std::size_t at) noexcept {
  std::uint32_t number;
  std::memcpy(&number, text.data() + at, sizeof number);
  return number;
}

}  // namespace

void Parcel::hold(Entry& entry, const Message& message) noexcept {
  message.add_ref();
  entry.message = &message;
  entry.has_message = true;
  if (last_ == &message) return;
  last_ = &message;
  message_bytes_ += message.footprint();
}

void Parcel::set_text(Entry& entry, std::string_view text) {
  entry.has_detail = true;
  entry.detail = static_cast<std::uint32_t>(text_.size());
  put_size(text_, text.size());
  text_.append(text);
}

void Parcel::set_detail(Entry& entry, std::string_view group, std::span<const std::uint32_t> identifiers) {
  if (group.empty() && identifiers.empty()) return;
  set_text(entry, group);
  put_size(text_, identifiers.size());
  text_.append(reinterpret_cast<const char*>(identifiers.data()), identifiers.size_bytes());
}

std::string_view Parcel::text(const Entry& entry) const noexcept {
  if (!entry.has_detail) return {};
  return std::string_view(text_).substr(entry.detail + sizeof(std::uint32_t), get_size(text_, entry.detail));
}

Detail Parcel::detail(const Entry& entry, std::vector<std::uint32_t>& scratch) const {
  scratch.clear();
  if (!entry.has_detail) return {};
  const std::string_view group = text(entry);
  const std::size_t at = entry.detail + sizeof(std::uint32_t) + group.size();
  scratch.resize(get_size(text_, at));
  if (!scratch.empty()) std::memcpy(scratch.data(), text_.data() + at + sizeof(std::uint32_t), scratch.size() * 4);
  return {group, scratch};
}

void Parcel::clear() noexcept {
  drop_messages();
  entries.clear();
  sessions.clear();
  subscriptions.clear();
  discarded.clear();
  text_.clear();
  message_bytes_ = 0;
  last_ = nullptr;
  if (entries.capacity() > kKeptEntries) entries = {};
  if (discarded.capacity() > kKeptEntries) discarded = {};
  if (text_.capacity() > kKeptText) text_ = {};
}

void Parcel::drop_messages() noexcept {
  for (const Entry& entry : entries) {
    if (entry.has_message) entry.message->drop_ref();
  }
}

}  // namespace mqloop::publisher_sqlite
