// The lines of `mqloop db export`, read by SQLite's own JSON functions. A field that is missing has its default, one
// that is not known is skipped; one that is wrong ends the import.
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/cli/mqloop/db_import.h"
#include "core/password/base64.h"
#include "core/store/well_formed.h"

namespace mqloop::cli {
namespace {

using namespace store;

constexpr std::size_t kLongestLine = 1 << 30;  // more than SQLite takes

std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The fields of one type of line. Get them by name; what is wrong is remembered, the first of it.
class Fields {
 public:
  explicit Fields(std::vector<std::string> names) : names_(std::move(names)) {}

  Outcome prepare(Database& database) {
    std::string sql = "SELECT ";
    for (const std::string& name : names_) sql += (sql.size() == 7 ? "" : ",") + ("json_extract(?1,'$." + name + "')");
    return database.prepare(sql, statement_);
  }
  Outcome load(std::string_view line) {
    fault_.clear();
    decoded_.clear();
    bool row = false;
    return statement_.bind_text(1, line).next(row);
  }
  void reset() { statement_.reset(); }

  [[nodiscard]] bool has(std::string_view name) { return !statement_.is_null(column(name)); }

  std::int64_t number(std::string_view name, std::int64_t low, std::int64_t high, std::int64_t missing = 0) {
    const int at = column(name);
    if (statement_.is_null(at)) return missing >= low ? missing : wrong(name);
    const std::int64_t value = statement_.integer(at);
    return statement_.is_integer(at) && value >= low && value <= high ? value : wrong(name);
  }
  std::uint64_t key(std::string_view name) { return static_cast<std::uint64_t>(number(name, 1, INT64_MAX)); }
  bool flag(std::string_view name) { return number(name, 0, 1) != 0; }
  QoS qos(std::string_view name, std::int64_t lowest = 0) { return static_cast<QoS>(number(name, lowest, 2, -1)); }
  std::optional<WallTime> time(std::string_view name) {
    if (!has(name)) return std::nullopt;
    return WallTime(std::chrono::milliseconds(number(name, 0, INT64_MAX / 2)));
  }
  // Under its name, or under that and `_base64`.
  std::string_view text(const std::string& name) {
    const int at = column(name);
    if (statement_.is_text(at)) return statement_.text(at);
    if (!statement_.is_null(at)) wrong(name);
    return base64(name + "_base64");
  }
  std::string_view base64(const std::string& name) {
    const int at = column(name);
    if (statement_.is_null(at)) return {};
    password::Decoded decoded = password::decode_base64(statement_.text(at), password::Padding::kEquals);
    if (!statement_.is_text(at) || decoded.fault != password::Decoded::kNoFault) wrong(name);
    return decoded_.emplace_back(std::move(decoded.bytes));
  }
  void require(bool truth, std::string_view name) {
    if (!truth) wrong(name);
  }
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

 private:
  int column(std::string_view name) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return static_cast<int>(i);
    }
    wrong(name);
    return 0;
  }
  std::int64_t wrong(std::string_view name) {
    if (fault_.empty()) fault_ = name;
    return 0;
  }

  std::vector<std::string> names_;
  Statement statement_;
  std::string fault_;
  std::deque<std::string> decoded_;  // stays where it is
};

class JsonImport {
 public:
  JsonImport(Store& store, ImportCounts& counts) : store_(store), counts_(counts) {}

  Outcome run(std::istream& from) {
    Outcome outcome = prepare();
    std::string line;
    while (outcome.ok() && std::getline(from, line)) {
      ++line_;
      if (line.empty()) continue;
      outcome = line.size() > kLongestLine ? fault("is too long") : take(line);
    }
    if (outcome.ok() && from.bad()) return fault("cannot be read");
    if (outcome.ok() && !has_meta_) return {Cause::kOther, "not what mqloop db export wrote: no line of type meta"};
    return outcome;
  }

 private:
  using Taker = Outcome (JsonImport::*)(Fields& fields);
  struct Type {
    Fields fields;
    Taker take;
  };

  void add(const std::string& name, Taker taker, std::vector<std::string> fields) {
    types_.emplace(name, Type{Fields(std::move(fields)), taker});
  }
  static std::vector<std::string> with_principal(std::vector<std::string> names) {
    for (const char* const name : {"principal", "principal.client_id", "principal.client_id_base64",
                                   "principal.user_name", "principal.user_name_base64", "principal.chain",
                                   "principal.chain_base64", "principal.listener", "principal.listener_base64",
                                   "principal.peer_address", "principal.peer_address_base64", "principal.version"}) {
      names.emplace_back(name);
    }
    return names;
  }

  Outcome prepare() {
    add("meta", &JsonImport::take_meta, {"batch", "session", "message", "delivery", "retained", "alive_at"});
    add("session", &JsonImport::take_session,
        with_principal({"number", "client_id", "client_id_base64", "user_name", "user_name_base64", "expiry_interval",
                        "connected", "gone_at", "will", "will.topic", "will.topic_base64", "will.payload",
                        "will.payload_base64", "will.properties_base64", "will.qos", "will.retain",
                        "will.delay_interval", "will.message_expiry_interval"}));
    add("subscription", &JsonImport::take_subscription,
        {"session", "filter", "filter_base64", "qos", "options", "identifier"});
    add("message", &JsonImport::take_message,
        {"number", "topic", "topic_base64", "payload", "payload_base64", "properties_base64", "qos", "retain",
         "expires_at"});
    add("delivery", &JsonImport::take_delivery,
        {"session", "number", "message", "qos", "retain", "packet_id", "received", "identifiers_base64", "share",
         "share_base64"});
    add("received", &JsonImport::take_received, {"session", "packet_id"});
    add("shared_delivery", &JsonImport::take_shared_delivery, {"share", "share_base64", "message"});
    add("retained", &JsonImport::take_retained,
        with_principal({"topic", "topic_base64", "sequence", "number", "payload", "payload_base64", "properties_base64",
                        "qos", "expires_at", "stored_at"}));
    for (auto& [name, type] : types_) {
      if (Outcome outcome = type.fields.prepare(store_.database()); !outcome.ok()) return outcome;
    }
    return store_.database().prepare(
        "SELECT json_valid(?1), CASE WHEN json_valid(?1) THEN json_extract(?1,'$.type') END", type_of_);
  }

  [[nodiscard]] Outcome fault(const std::string& what) const {
    return {Cause::kOther, "line " + std::to_string(line_) + ": " + what};
  }

  Outcome take(std::string_view line) {
    bool row = false;
    Outcome outcome = type_of_.bind_text(1, line).next(row);
    if (!outcome.ok()) return outcome;
    const bool is_json = type_of_.integer(0) != 0;
    const std::string name(type_of_.text(1));
    type_of_.reset();
    if (!is_json) return fault("is no JSON");
    const auto type = types_.find(name);
    if (type == types_.end()) return fault("its type is '" + name + "', which is not known");
    if (name != "meta" && !has_meta_) return fault("the first line has the type meta");
    Fields& fields = type->second.fields;
    outcome = fields.load(line);
    if (outcome.ok()) outcome = (this->*type->second.take)(fields);
    fields.reset();
    return outcome;
  }

  // A row is put when everything that was asked of its line was right.
  template <typename Put>
  Outcome put(const Fields& fields, const Put& put_row) {
    return fields.fault().empty() ? put_row() : fault("'" + fields.fault() + "' is missing, or wrong");
  }

  Outcome take_meta(Fields& fields) {
    has_meta_ = true;
    Progress progress;
    progress.batch = static_cast<std::uint64_t>(fields.number("batch", 0, INT64_MAX));
    progress.numbers.session = static_cast<std::uint64_t>(fields.number("session", 0, INT64_MAX));
    progress.numbers.message = static_cast<std::uint64_t>(fields.number("message", 0, INT64_MAX));
    progress.numbers.delivery = static_cast<std::uint64_t>(fields.number("delivery", 0, INT64_MAX));
    progress.numbers.retained = static_cast<std::uint64_t>(fields.number("retained", 0, INT64_MAX));
    progress.alive_at = fields.time("alive_at").value_or(WallTime{});
    progress.clean = true;
    return put(fields, [&] { return store_.set_progress(progress); });
  }

  static Ref<const Principal> principal_of(Fields& fields) {
    if (!fields.has("principal")) return nullptr;
    Principal::Content content;
    content.client_id = fields.text("principal.client_id");
    content.has_user_name = fields.has("principal.user_name");
    content.user_name = fields.text("principal.user_name");
    content.chain = fields.text("principal.chain");
    content.listener = fields.text("principal.listener");
    content.peer_address = fields.text("principal.peer_address");
    content.version = static_cast<ProtocolVersion>(fields.number("principal.version", 3, 5));
    return Principal::create(content);
  }

  Outcome take_session(Fields& fields) {
    constexpr std::int64_t kMost = 0xFFFFFFFF;
    SessionRow row;
    row.number = fields.key("number");
    row.client_id = fields.text("client_id");
    fields.require(!row.client_id.empty() && is_utf8_string(row.client_id), "client_id");
    row.has_user_name = fields.has("user_name");
    row.user_name = fields.text("user_name");
    fields.require(is_utf8_string(row.user_name), "user_name");
    row.expiry_interval = static_cast<std::uint32_t>(fields.number("expiry_interval", 1, kMost));
    row.connected = fields.flag("connected");
    row.gone_at = fields.time("gone_at").value_or(WallTime{});
    fields.require(row.connected || fields.has("gone_at"), "gone_at");
    WillRow will;
    if (fields.has("will")) {
      will.topic = fields.text("will.topic");
      will.payload = bytes_of(fields.text("will.payload"));
      will.properties = bytes_of(fields.base64("will.properties_base64"));
      will.qos = fields.qos("will.qos");
      will.retain = fields.flag("will.retain");
      will.delay_interval = static_cast<std::uint32_t>(fields.number("will.delay_interval", 0, kMost));
      if (fields.has("will.message_expiry_interval")) {
        will.message_expiry_interval =
            static_cast<std::uint32_t>(fields.number("will.message_expiry_interval", 0, kMost));
      }
      fields.require(is_topic_name(will.topic), "will.topic");
      fields.require(are_forwarded_properties(will.properties), "will.properties_base64");
      row.will = &will;
    }
    const Ref<const Principal> principal = principal_of(fields);
    row.principal = principal.get();
    ++counts_.sessions;
    return put(fields, [&] { return store_.put_session(row); });
  }

  Outcome take_subscription(Fields& fields) {
    SubscriptionRow row;
    row.session = fields.key("session");
    row.filter = fields.text("filter");
    row.qos = fields.qos("qos");
    const std::int64_t options = fields.number("options", 0, 255);
    row.options = static_cast<std::uint8_t>(options);
    row.identifier = static_cast<std::uint32_t>(fields.number("identifier", 0, kHighestIdentifier));
    fields.require(is_subscription_filter(row.filter), "filter");
    fields.require(are_subscription_options(options), "options");
    ++counts_.subscriptions;
    return put(fields, [&] { return store_.put_subscription(row); });
  }

  static MessageRow message_of(Fields& fields) {
    MessageRow row;
    row.topic = fields.text("topic");
    row.payload = bytes_of(fields.text("payload"));
    row.properties = bytes_of(fields.base64("properties_base64"));
    row.qos = fields.qos("qos");
    row.expires_at = fields.time("expires_at");
    fields.require(is_topic_name(row.topic), "topic");
    fields.require(are_forwarded_properties(row.properties), "properties_base64");
    return row;
  }

  Outcome take_message(Fields& fields) {
    MessageRow row = message_of(fields);
    row.number = fields.key("number");
    row.retain = fields.flag("retain");
    return put(fields, [&] { return store_.insert_message(row); });
  }

  Outcome take_delivery(Fields& fields) {
    DeliveryRow row;
    row.session = fields.key("session");
    row.number = fields.key("number");
    row.received = fields.flag("received");
    row.message = row.received ? 0 : fields.key("message");
    row.qos = fields.qos("qos", 1);
    row.retain = fields.flag("retain");
    row.packet_id = static_cast<std::uint16_t>(fields.number("packet_id", row.received ? 1 : 0, 0xFFFF));
    fields.require(!row.received || row.qos == QoS::kExactlyOnce, "qos");
    row.group = fields.text("share");
    fields.require(row.group.empty() || is_shared_filter(row.group), "share");
    std::vector<std::uint32_t> identifiers;
    const std::string_view packed = fields.base64("identifiers_base64");
    fields.require(decode_identifiers(bytes_of(packed), identifiers), "identifiers_base64");
    row.identifiers = identifiers;
    ++counts_.deliveries;
    return put(fields, [&] { return store_.insert_delivery(row); });
  }

  Outcome take_received(Fields& fields) {
    const std::uint64_t session = fields.key("session");
    const auto packet_id = static_cast<std::uint16_t>(fields.number("packet_id", 1, 0xFFFF));
    return put(fields, [&] { return store_.insert_received(session, packet_id); });
  }

  Outcome take_shared_delivery(Fields& fields) {
    const std::string_view group = fields.text("share");
    const std::uint64_t message = fields.key("message");
    fields.require(is_shared_filter(group), "share");
    ++counts_.deliveries;
    return put(fields, [&] { return store_.insert_shared_delivery(group, message); });
  }

  Outcome take_retained(Fields& fields) {
    RetainedRow row;
    row.message = message_of(fields);
    row.message.number = static_cast<std::uint64_t>(fields.number("number", 0, INT64_MAX));
    row.sequence = static_cast<std::uint64_t>(fields.number("sequence", 0, INT64_MAX));
    row.stored_at = fields.time("stored_at").value_or(WallTime{});
    const Ref<const Principal> principal = principal_of(fields);
    row.principal = principal.get();
    ++counts_.retained;
    return put(fields, [&] { return store_.put_retained(row); });
  }

  Store& store_;
  ImportCounts& counts_;
  std::unordered_map<std::string, Type> types_;
  Statement type_of_;
  std::uint64_t line_ = 0;
  bool has_meta_ = false;
};

}  // namespace

Outcome import_json(std::istream& from, Store& store, ImportCounts& counts) {
  return JsonImport(store, counts).run(from);
}

}  // namespace mqloop::cli
