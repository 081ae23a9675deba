#include "core/tls/live_context.h"

#include <event2/event.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include <mqloop/log.h>

namespace mqloop::tls {

namespace {

constexpr std::chrono::hours kSoon{14 * 24};
constexpr std::chrono::hours kBetweenWarnings{24};
// A tick at least this often, for the warnings.
constexpr std::chrono::milliseconds kLongestTick = std::chrono::hours{1};

std::string date_of(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  char text[32];
  gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

}  // namespace

// One look at the files, on a worker thread.
struct LiveContext::Look {
  std::shared_ptr<const ServerOptions> options;
  FileStates read, seen, failed;
  LiveContext* asker;  // the reactor's; null: nobody waits for it any more

  FileStates now = {};
  bool has_read = false;
  std::shared_ptr<ServerContext> made = {};
  Status failure = {};

  void work() noexcept {
    try {
      now = states_of(options->files());
      if (now == read || now != seen || now == failed) return;
      has_read = true;
      Result<std::shared_ptr<ServerContext>> loaded = ServerContext::load(*options);
      if (loaded.ok()) {
        made = *std::move(loaded);
      } else {
        failure = loaded.status();
      }
    } catch (const std::exception& exception) {
      failure = {StatusCode::kResourceExhausted, exception.what()};
    }
  }
};

Result<std::unique_ptr<LiveContext>> LiveContext::make(ServerOptions options) {
  FileStates states = states_of(options.files());  // before they are read: what changes meanwhile is read again
  Result<std::shared_ptr<ServerContext>> context = ServerContext::load(options);
  if (!context.ok()) return context.status();
  return std::unique_ptr<LiveContext>(new LiveContext(std::move(options), std::move(states), *std::move(context)));
}

LiveContext::LiveContext(ServerOptions options, FileStates states, std::shared_ptr<ServerContext> context)
    : options_(std::make_shared<const ServerOptions>(std::move(options))),
      current_(std::move(context)),
      read_(std::move(states)),
      seen_(read_) {}

LiveContext::~LiveContext() { stop(); }

void LiveContext::start(ReactorApi& reactor) noexcept {
  reactor_ = &reactor;
  warn_of_certificates();
  if (reactor.event_base() == nullptr) return;
  event_assign(&tick_, reactor.event_base(), -1, 0, on_tick, this);
  arm();
}

void LiveContext::stop() noexcept {
  if (reactor_ == nullptr) return;
  if (reactor_->event_base() != nullptr) event_del(&tick_);
  if (look_ != nullptr) std::exchange(look_, nullptr)->asker = nullptr;
  reactor_ = nullptr;
}

void LiveContext::arm() noexcept {
  const std::chrono::milliseconds wait = std::min(options_->watch_files, kLongestTick);
  const timeval time{wait.count() / 1000, wait.count() % 1000 * 1000};
  event_add(&tick_, &time);
}

void LiveContext::on_tick(int /*fd*/, short /*what*/, void* self) {
  auto* live = static_cast<LiveContext*>(self);
  if (live->warned_ && live->reactor_->now() - *live->warned_ >= kBetweenWarnings) live->warn_of_certificates();
  if (live->options_->watch_files != kInfinite) live->look();
  live->arm();
}

void LiveContext::look() noexcept {
  if (look_ != nullptr) return;
  auto look = std::make_unique<Look>(Look{options_, read_, seen_, failed_, this});
  const auto work = [](void* argument) noexcept { static_cast<Look*>(argument)->work(); };
  const auto done = [](void* argument) noexcept {
    const std::unique_ptr<Look> ended(static_cast<Look*>(argument));
    if (ended->asker != nullptr) ended->asker->looked(*ended);
  };
  if (reactor_->submit(work, done, look.get())) look_ = look.release();
}

void LiveContext::looked(Look& look) noexcept {
  look_ = nullptr;
  seen_ = look.now;
  if (look.made) {
    replace(std::move(look.made), std::move(look.now));
    reactor_->log().write(LogLevel::kInfo, "tls", "changed files read", {{"listener", options_->listener}});
  } else if (look.has_read) {
    failed_ = std::move(look.now);
    reactor_->log().write(LogLevel::kError, "tls", "changed files cannot be used: what was read before stays",
                          {{"listener", options_->listener}, {"reason", look.failure.message()}});
  }
}

void LiveContext::renew(LiveContext& made) noexcept { replace(std::move(made.current_), std::move(made.read_)); }

void LiveContext::replace(std::shared_ptr<ServerContext> next, FileStates states) noexcept {
  next->succeed(*current_);
  current_ = std::move(next);
  read_ = std::move(states);
  seen_ = read_;
  failed_.clear();
  ++reads_;
  // A look that is under way compares with what was before.
  if (look_ != nullptr) std::exchange(look_, nullptr)->asker = nullptr;
  if (reactor_ != nullptr) warn_of_certificates();
}

void LiveContext::warn(std::string_view event, std::string_view file, std::string_view mend) noexcept {
  reactor_->log().write(LogLevel::kWarn, "tls", event,
                        {{"listener", options_->listener}, {"file", file}, {"mend", mend}});
}

void LiveContext::warn_of_certificates() noexcept {
  warned_ = reactor_->now();
  for (const std::string& file : current_->open_secrets()) {
    warn("everybody on this machine can read a secret key", file, "chmod o-r " + file);
  }
  for (const ServerContext::Served& served : current_->served()) {
    const auto tell = [&](std::string_view event, std::string_view key, std::chrono::system_clock::time_point time) {
      reactor_->log().write(LogLevel::kWarn, "tls", event,
                            {{"listener", options_->listener}, {"file", served.file}, {key, date_of(time)}});
    };
    if (served.not_after <= now()) {
      tell("the certificate has expired", "expired", served.not_after);
    } else if (served.not_after <= now() + kSoon) {
      tell("the certificate expires soon", "expires", served.not_after);
    } else if (served.not_before > now()) {
      tell("the certificate does not hold yet", "begins", served.not_before);
    }
  }
}

std::chrono::system_clock::time_point LiveContext::now() const noexcept {
  return std::chrono::system_clock::time_point(reactor_->wall_now().time_since_epoch());
}

void LiveContext::report(Figures& figures) const {
  const HandshakeCounts& counts = current_->counts();
  figures.figure("tls/handshakes", counts.done.load(std::memory_order_relaxed));
  figures.figure("tls/resumed", counts.resumed.load(std::memory_order_relaxed));
  figures.figure("tls/failed", counts.failed.load(std::memory_order_relaxed));
  figures.figure("tls/reads", reads_);
  const auto& served = current_->served();
  const auto first = std::min_element(served.begin(), served.end(),
                                      [](const auto& a, const auto& b) { return a.not_after < b.not_after; });
  if (first == served.end() || reactor_ == nullptr) return;
  const auto left = std::chrono::floor<std::chrono::seconds>(first->not_after - now());
  figures.figure("tls/certificate_expires", left.count() < 0 ? 0 : static_cast<std::uint64_t>(left.count()));
}

}  // namespace mqloop::tls
