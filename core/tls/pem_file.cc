#include "core/tls/pem_file.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <new>

#include "core/tls/openssl_error.h"

namespace mqloop::tls {

namespace {

// Lists of revocations may be large.
constexpr std::size_t kMost = 256 << 20;
static_assert(kMost <= INT_MAX, "BIO_new_mem_buf() counts in int");

std::string in_quotes(const std::string& file) { return '"' + file + '"'; }

}  // namespace

Result<PemFile> PemFile::read(const Configured& file) {
  const auto failure = [&file](int error) {
    const Status why = from_errno(error, "cannot read " + in_quotes(file.text));
    return file.error(std::string(why.message()), why.code());
  };
  const std::unique_ptr<std::FILE, FreeBy<std::fclose>> opened(std::fopen(file.text.c_str(), "re"));
  if (!opened) return failure(errno);
  struct stat info {};
  if (fstat(fileno(opened.get()), &info) != 0) return failure(errno);
  PemFile read(file);
  read.is_readable_by_all_ = (info.st_mode & S_IROTH) != 0;
  std::array<char, 16384> buffer;
  for (std::size_t size = 1; size != 0;) {
    size = std::fread(buffer.data(), 1, buffer.size(), opened.get());
    if (std::ferror(opened.get()) != 0) return failure(errno);
    read.text_.append(buffer.data(), size);
    if (read.text_.size() > kMost) return failure(EFBIG);
  }
  OPENSSL_cleanse(buffer.data(), buffer.size());
  return read;
}

PemFile::~PemFile() {
  if (!text_.empty()) OPENSSL_cleanse(text_.data(), text_.size());
}

BioPointer PemFile::open() const {
  BioPointer bio(BIO_new_mem_buf(text_.data(), static_cast<int>(text_.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

Status PemFile::cannot_use(const std::string& what, const char* otherwise) const {
  return error(what + ": " + take_error(otherwise));
}

// What the configuration says is right; what it says of the file is not to be found there.
Status PemFile::error(const std::string& what) const {
  return file_.error(in_quotes(file_.text) + ' ' + what, StatusCode::kNotFound);
}

}  // namespace mqloop::tls
