#include "core/broker/credit.h"

#include <array>
#include <span>
#include <string>

#include "core/broker/shard.h"
#include "core/event/post.h"

namespace mqloop::broker {

bool CreditAccount::reaches(std::uint64_t mark) noexcept {
  if (spent_ - known_given_back_ < mark) return false;
  known_given_back_ = given_back_.load(std::memory_order_relaxed);
  return spent_ - known_given_back_ >= mark;
}

std::uint64_t CreditAccount::outstanding() const noexcept {
  return spent_ - given_back_.load(std::memory_order_relaxed);
}

// The mail that took the source over its mark was sent after it began to wait, so whoever gives back for that mail, or
// after that, reads what wait_for() wrote.
void CreditAccount::give_back(std::uint64_t bytes) noexcept {
  const std::uint64_t given_back = given_back_.fetch_add(bytes, std::memory_order_acq_rel) + bytes;
  std::uint64_t wake_at = wake_at_.load(std::memory_order_relaxed);
  if (given_back < wake_at) return;
  if (!wake_at_.compare_exchange_strong(wake_at, kNever, std::memory_order_relaxed)) return;
  event::post(source_.loop(), [&source = source_, target = target_] { source.credits().caught_up(target); });
}

const Ref<CreditAccount>& Credits::account(std::uint32_t target) {
  Ref<CreditAccount>& account = accounts_[target];
  if (!account) account = Ref<CreditAccount>::adopt(new CreditAccount(shard_, target));
  return account;
}

void Credits::spend(std::uint32_t target, std::uint64_t bytes) {
  CreditAccount& account = *this->account(target);
  account.spend(bytes);
  const std::uint64_t mark = shard_.limits().reactor_backlog;
  if (account.reaches(mark) && (behind_ >> target & 1) == 0 && !stopped_) wait_for(target, mark);
}

void Credits::wait_for(std::uint32_t target, std::uint64_t mark) {
  accounts_[target]->wait_for(mark / 2);
  const bool first = behind_ == 0;
  behind_ |= std::uint64_t{1} << target;
  if (!first) return;
  shard_.counters().publishers_held.add();
  shard_.hold_for_credit(true);
  if (!log_.may_log(shard_.loop().now())) return;
  const std::uint64_t left_out = log_.take_left_out();
  const std::array<std::string, 4> values = {std::to_string(shard_.index()), std::to_string(target),
                                             std::to_string(accounts_[target]->outstanding()),
                                             std::to_string(left_out)};
  const LogField fields[] = {
      {"reactor", values[0]}, {"waits_for", values[1]}, {"bytes", values[2]}, {"other_times", values[3]}};
  shard_.log().write(LogLevel::kWarn, "reactor", "holding publishers", std::span(fields, left_out == 0 ? 3 : 4));
}

void Credits::caught_up(std::uint32_t target) {
  behind_ &= ~(std::uint64_t{1} << target);
  if (behind_ == 0) shard_.hold_for_credit(false);
}

std::uint64_t Credits::outstanding() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& account : accounts_) sum += account ? account->outstanding() : 0;
  return sum;
}

void Credits::stop() noexcept {
  stopped_ = true;
  for (const auto& account : accounts_) {
    if (account) account->wait_no_more();
  }
}

}  // namespace mqloop::broker
