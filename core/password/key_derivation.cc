#include "core/password/key_derivation.h"

#include <argon2.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <memory>
#include <string>

namespace mqloop::password {

namespace {

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool sha512(std::string_view password, std::string_view salt, unsigned char* out, std::size_t size) {
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> digest(EVP_MD_CTX_new());
  return size == SHA512_DIGEST_LENGTH && digest != nullptr &&
         EVP_DigestInit_ex(digest.get(), EVP_sha512(), nullptr) == 1 &&
         EVP_DigestUpdate(digest.get(), password.data(), password.size()) == 1 &&
         EVP_DigestUpdate(digest.get(), salt.data(), salt.size()) == 1 &&
         EVP_DigestFinal_ex(digest.get(), out, nullptr) == 1;
}

bool pbkdf2(const Cost& cost, std::string_view password, std::string_view salt, unsigned char* out, std::size_t size) {
  return PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt),
                           static_cast<int>(salt.size()), static_cast<int>(cost.rounds), EVP_sha512(),
                           static_cast<int>(size), out) == 1;
}

bool scrypt(const Cost& cost, std::string_view password, std::string_view salt, unsigned char* out, std::size_t size) {
  return EVP_PBE_scrypt(password.data(), password.size(), bytes_of(salt), salt.size(), std::uint64_t{1} << cost.rounds,
                        cost.memory, cost.lanes, scrypt_memory(cost), out, size) == 1;
}

bool argon2id(const Cost& cost, std::string_view password, std::string_view salt, unsigned char* out,
              std::size_t size) {
  std::string own_password(password);  // libargon2 asks for what it could wipe
  std::string own_salt(salt);
  argon2_context context{};
  context.out = out;
  context.outlen = static_cast<std::uint32_t>(size);
  context.pwd = reinterpret_cast<std::uint8_t*>(own_password.data());
  context.pwdlen = static_cast<std::uint32_t>(own_password.size());
  context.salt = reinterpret_cast<std::uint8_t*>(own_salt.data());
  context.saltlen = static_cast<std::uint32_t>(own_salt.size());
  context.t_cost = cost.rounds;
  context.m_cost = cost.memory;
  context.lanes = cost.lanes;
  context.threads = 1;  // the lanes one after the other: the worker pool has its threads already
  context.flags = ARGON2_DEFAULT_FLAGS;
  context.version = ARGON2_VERSION_13;
  const bool done = argon2id_ctx(&context) == ARGON2_OK;
  OPENSSL_cleanse(own_password.data(), own_password.size());
  return done;
}

}  // namespace

std::uint64_t scrypt_memory(const Cost& cost) noexcept {
  // V, the blocks B and the scratch of one mix (RFC 7914), and a little for what libcrypto adds.
  const std::uint64_t n = std::uint64_t{1} << cost.rounds;
  return std::uint64_t{128} * cost.memory * (n + cost.lanes + 2) + 4096;
}

bool derive_key(const Cost& cost, std::string_view password, std::string_view salt, unsigned char* out,
                std::size_t size) {
  switch (cost.scheme) {
    case Scheme::kSha512:
      return sha512(password, salt, out, size);
    case Scheme::kPbkdf2:
      return pbkdf2(cost, password, salt, out, size);
    case Scheme::kScrypt:
      return scrypt(cost, password, salt, out, size);
    case Scheme::kArgon2id:
      return argon2id(cost, password, salt, out, size);
  }
  return false;
}

}  // namespace mqloop::password
