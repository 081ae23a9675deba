#include "core/mqtt/packet_id.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace mqloop::mqtt {
namespace {

constexpr std::size_t kIdsPerWord = 32;  // two bits each
constexpr std::size_t kIdsPerPage = 2048;
constexpr std::size_t kWordsPerPage = kIdsPerPage / kIdsPerWord;
constexpr std::size_t kPageCount = 65'536 / kIdsPerPage;
constexpr std::uint64_t kLowBits = 0x5555'5555'5555'5555U;

struct Page {
  std::uint32_t used = 0;
  std::array<std::uint64_t, kWordsPerPage> words{};
};

std::size_t page_of(std::size_t id) noexcept { return id / kIdsPerPage; }
std::size_t word_of(std::size_t id) noexcept { return id % kIdsPerPage / kIdsPerWord; }
unsigned shift_of(std::size_t id) noexcept { return static_cast<unsigned>(id % kIdsPerWord * 2); }

// The first free identifier of a page that is not below `first`, or npos.
constexpr std::size_t kNone = static_cast<std::size_t>(-1);
std::size_t free_in_page(const Page& page, std::size_t first) noexcept {
  if (page.used == kIdsPerPage) return kNone;
  std::uint64_t skip = (std::uint64_t{1} << shift_of(first)) - 1;
  for (std::size_t word = word_of(first); word < kWordsPerPage; ++word, skip = 0) {
    const std::uint64_t bits = page.words[word];
    const std::uint64_t free = ~(bits | (bits >> 1)) & kLowBits & ~skip;
    if (free == 0) continue;
    return page_of(first) * kIdsPerPage + word * kIdsPerWord + static_cast<std::size_t>(std::countr_zero(free)) / 2;
  }
  return kNone;
}

}  // namespace

struct PacketIdTable::Pages {
  std::array<std::unique_ptr<Page>, kPageCount> pages;

  [[nodiscard]] std::uint8_t get(std::size_t id) const noexcept {
    const Page* page = pages[page_of(id)].get();
    return page == nullptr ? 0 : static_cast<std::uint8_t>((page->words[word_of(id)] >> shift_of(id)) & 3U);
  }

  void set(std::size_t id, std::uint8_t state) {
    std::unique_ptr<Page>& page = pages[page_of(id)];
    if (page == nullptr) page = std::make_unique<Page>();
    std::uint64_t& word = page->words[word_of(id)];
    const bool was_used = ((word >> shift_of(id)) & 3U) != 0;
    word = (word & ~(std::uint64_t{3} << shift_of(id))) | (std::uint64_t{state} << shift_of(id));
    if (state != 0 && !was_used) ++page->used;
    if (state == 0 && was_used && --page->used == 0) page.reset();
  }

  // The first free identifier in [first, 65535], or kNone. A page that is not there is free as a whole.
  [[nodiscard]] std::size_t next_free(std::size_t first) const noexcept {
    for (; first < 65'536; first = (page_of(first) + 1) * kIdsPerPage) {
      const Page* page = pages[page_of(first)].get();
      const std::size_t found = page == nullptr ? first : free_in_page(*page, first);
      if (found != kNone) return found;
    }
    return kNone;
  }
};

PacketIdTable::PacketIdTable() noexcept = default;
PacketIdTable::~PacketIdTable() = default;

PacketIdTable::PacketIdTable(PacketIdTable&& other) noexcept
    : pages_(std::move(other.pages_)),
      inline_(std::exchange(other.inline_, {})),
      inline_states_(std::exchange(other.inline_states_, std::uint16_t{0})),
      used_(std::exchange(other.used_, std::uint16_t{0})) {}

PacketIdTable& PacketIdTable::operator=(PacketIdTable&& other) noexcept {
  pages_ = std::move(other.pages_);
  inline_ = std::exchange(other.inline_, {});
  inline_states_ = std::exchange(other.inline_states_, std::uint16_t{0});
  used_ = std::exchange(other.used_, std::uint16_t{0});
  return *this;
}

std::size_t PacketIdTable::find_inline(std::uint16_t id) const noexcept {
  return static_cast<std::size_t>(std::find(inline_.begin(), inline_.end(), id) - inline_.begin());
}

void PacketIdTable::set_inline(std::size_t slot, std::uint16_t id, std::uint8_t state) noexcept {
  const auto shift = static_cast<unsigned>(slot * 2);
  inline_[slot] = state == 0 ? std::uint16_t{0} : id;
  inline_states_ = static_cast<std::uint16_t>((inline_states_ & ~(3U << shift)) | (unsigned{state} << shift));
}

std::uint8_t PacketIdTable::get(std::uint16_t id) const noexcept {
  if (id == 0) return 0;
  if (pages_ != nullptr) return pages_->get(id);
  const std::size_t slot = find_inline(id);
  return slot == kInline ? std::uint8_t{0} : static_cast<std::uint8_t>((inline_states_ >> (slot * 2)) & 3U);
}

void PacketIdTable::set(std::uint16_t id, std::uint8_t state) {
  const bool was_used = get(id) != 0;
  if (state == 0 && !was_used) return;
  if (!was_used && pages_ == nullptr && used_ == kInline) move_to_pages();
  if (pages_ != nullptr) {
    pages_->set(id, state);
  } else {
    set_inline(find_inline(was_used ? id : std::uint16_t{0}), id, state);
  }
  if (state != 0 && !was_used) ++used_;
  if (state == 0) --used_;
  // Half of what fits, so that one identifier that comes and goes does not move the table to and fro.
  if (pages_ != nullptr && used_ <= kInline / 2) move_to_object();
}

void PacketIdTable::move_to_pages() {
  auto pages = std::make_unique<Pages>();
  for (const std::uint16_t id : inline_) pages->set(id, get(id));
  pages_ = std::move(pages);
  inline_ = {};
  inline_states_ = 0;
}

void PacketIdTable::move_to_object() noexcept {
  const std::unique_ptr<Pages> pages = std::move(pages_);
  std::size_t slot = 0;
  for (std::size_t at = 0; at < kPageCount; ++at) {
    const Page* page = pages->pages[at].get();
    if (page == nullptr) continue;
    for (std::size_t word = 0; word < kWordsPerPage; ++word) {
      for (std::uint64_t bits = page->words[word]; bits != 0;) {
        const unsigned shift = static_cast<unsigned>(std::countr_zero(bits)) & ~1U;
        const std::size_t id = at * kIdsPerPage + word * kIdsPerWord + shift / 2;
        set_inline(slot++, static_cast<std::uint16_t>(id), static_cast<std::uint8_t>((bits >> shift) & 3U));
        bits &= ~(std::uint64_t{3} << shift);
      }
    }
  }
}

std::uint16_t PacketIdTable::next_free(std::uint16_t from) const noexcept {
  if (used_ == 65'535) return 0;
  if (pages_ == nullptr) {
    std::uint16_t id = from;
    while (find_inline(id) != kInline) id = id == 65'535 ? std::uint16_t{1} : static_cast<std::uint16_t>(id + 1);
    return id;
  }
  const std::size_t found = pages_->next_free(from);
  return static_cast<std::uint16_t>(found != kNone ? found : pages_->next_free(1));
}

void PacketIdTable::clear() noexcept {
  pages_.reset();
  inline_ = {};
  inline_states_ = 0;
  used_ = 0;
}

std::uint16_t PacketIdAllocator::allocate() {
  const std::uint16_t id = table_.next_free(last_ == 65'535 ? std::uint16_t{1} : static_cast<std::uint16_t>(last_ + 1));
  if (id == 0) return 0;
  table_.set(id, 1);
  last_ = id;
  return id;
}

bool PacketIdAllocator::reserve(std::uint16_t id) {
  if (id == 0 || in_use(id)) return false;
  table_.set(id, 1);
  return true;
}

bool PacketIdAllocator::release(std::uint16_t id) {
  if (!in_use(id)) return false;
  table_.set(id, 0);
  return true;
}

}  // namespace mqloop::mqtt
