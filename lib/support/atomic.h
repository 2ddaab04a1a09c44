// lib/support/atomic.h: the few atomic operations of a call. They never wait and need no library:
// where the CPU has none for a word (Armv6-M), a word is read and written plainly, which protects
// from nothing. A word is used and not a byte, because GCC 12 calls a library for bytes on RISC-V.
#ifndef HEED_LIB_SUPPORT_ATOMIC_H_
#define HEED_LIB_SUPPORT_ATOMIC_H_

#include <cstdint>

namespace heed {

inline constexpr bool kHasAtomics = __atomic_always_lock_free(sizeof(uint32_t), nullptr);

// Each answers what *word was before.
inline uint32_t AtomicAdd(uint32_t* word, uint32_t value) {
  if constexpr (kHasAtomics) return __atomic_fetch_add(word, value, __ATOMIC_RELAXED);
  const uint32_t before = *word;
  *word = before + value;
  return before;
}
inline uint32_t AtomicOr(uint32_t* word, uint32_t bits) {
  if constexpr (kHasAtomics) return __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
  const uint32_t before = *word;
  *word = before | bits;
  return before;
}
inline uint32_t AtomicAnd(uint32_t* word, uint32_t bits) {
  if constexpr (kHasAtomics) return __atomic_fetch_and(word, bits, __ATOMIC_RELAXED);
  const uint32_t before = *word;
  *word = before & bits;
  return before;
}

// Holds a word that is 1 while a call runs. Where another call holds it already, the owner has
// nothing: is_mine() is false, and the word stays as it is.
class BusyWord {
 public:
  explicit BusyWord(uint32_t* word) : word_(word) {
    if constexpr (kHasAtomics) {
      if (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) != 0) word_ = nullptr;
    }
  }
  ~BusyWord() {
    if constexpr (kHasAtomics) {
      if (word_ != nullptr) __atomic_store_n(word_, 0, __ATOMIC_RELEASE);
    }
  }
  BusyWord(const BusyWord&) = delete;
  BusyWord& operator=(const BusyWord&) = delete;

  bool is_mine() const { return word_ != nullptr; }

 private:
  uint32_t* word_;
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_ATOMIC_H_
