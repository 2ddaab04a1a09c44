// heed/status.h: how every call answers.
//
//     #include <cstdio>
//     #include "heed/status.h"
//
//     // Prints "heed: over limit: query: expected a length of at most limits.max_query_len = 64,
//     // got 70" in one line, or nothing.
//     bool Succeeded(const heed::Status& status) {
//       char sentence[heed::kMaxSentence];
//       heed::FormatStatus(status, sentence, sizeof(sentence));
//       if (!status.ok()) std::fprintf(stderr, "heed: %s\n", sentence);
//       return status.ok();
//     }
//
// A Status is a small value. Nothing is allocated for it, there is nothing to free, and its text is
// only made when a caller asks for it.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_STATUS_H_
#define HEED_STATUS_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/export.h"

namespace heed {

// A code says what went wrong. The numbers are part of the binary interface: new ones are appended,
// and none is ever renumbered.
enum class StatusCode : int32_t {
  kOk = 0,
  kNullPointer = 1,      // a pointer that this call needs is null
  kBadConfig = 2,        // the AttentionConfig contradicts itself
  kBadValue = 3,         // a number (limit, window, offset, scale) is out of range
  kBadShape = 10,        // a tensor's shape or strides
  kBadMask = 11,         // a mask's shape or strides, or a key length out of range
  kOverlap = 12,         // an output shares memory with something else
  kMisaligned = 13,      // a pointer lacks the alignment the declaration names
  kOverLimit = 14,       // a shape is larger than the Limits given to Create
  kBlockTooSmall = 20,   // the caller's memory is smaller than the constexpr size
  kStalePlan = 21,       // the layer's plan was overwritten, by another Create for instance
  kBusy = 22,            // another call of the same layer or cache is running
  kCacheFull = 23,       // a KvCache has no room for the new rows
  kOverwritten = 24,     // a ring has overwritten keys that this truncation would show again
  kBadMagic = 30,        // not a .heed file, or not the block of a cache
  kBadVersion = 31,      // a .heed file or a cache of another version
  kBadChecksum = 32,     // header or payload were altered
  kBadHeader = 33,       // a header whose fields contradict each other or the file's size
  kConfigMismatch = 34,  // the file or the cache holds another layer than the caller expects
  kBadPayload = 35,      // weights or a cache's lengths that contradict the rest of it
  kUnknownTarget = 40,   // no such dispatch target, or this CPU cannot run it
  kUnsupported = 41,     // a type or part that this library was built without, or does not know
  kBackendFailed = 42,   // a projection backend of the application's gave up
  kBadBuild = 43,        // compiled with flags such as -ffast-math, or not rounding to nearest
  kInternal = 50,        // a bug in heed; please report it
};

// A form says how a number of a Status reads. Its own numbers are part of the binary interface.
enum class NumberForm : uint16_t {
  kNone = 0,        // there is no number; it is 0
  kSigned = 1,      // an int64_t
  kUnsigned = 2,    // a uint64_t with the same bits
  kFloat = 3,       // its lower 32 bits are those of a float
  kHex = 4,         // a uint64_t that reads in hexadecimal: a checksum, flags
  kCharacters = 5,  // its lower four bytes are characters, the lowest first: the magic of a file
  kBool = 6,        // 0 is false, and 1 true
  kWeights = 7,     // a WeightType
  kCore = 8,        // a CoreType
};

// The answer of a call. The compiler warns where it is ignored. Both texts are static, and null
// when the status is ok; their words may change in any version.
struct [[nodiscard]] Status {
  StatusCode code = StatusCode::kOk;
  NumberForm expected_form = NumberForm::kNone;
  NumberForm actual_form = NumberForm::kNone;
  const char* argument = nullptr;  // the argument that was wrong: "key", "limits.max_batch"
  // The words that say what was expected: "a length of at most limits.max_query_len ="
  const char* expectation = nullptr;
  int64_t expected = 0;  // the number that ends the expectation; expected_form tells how it reads
  int64_t actual = 0;    // the number that was given, in the same unit, as actual_form tells

  constexpr bool ok() const { return code == StatusCode::kOk; }
};

// The name of a code, such as "bad shape", as static text; "unknown status" for any other number.
HEED_EXPORT const char* StatusCodeName(StatusCode code);

// Writes a sentence into buffer[size], cut to fit and with a NUL at its end, and returns the length
// of the whole sentence, as snprintf does. The buffer may be null where size is 0. Every sentence
// has one form, and leaves out a number that the status does not have:
//
//     CODE: ARGUMENT: expected EXPECTATION EXPECTED, got ACTUAL
//     bad config: config.num_kv_heads: expected a divisor of num_heads = 8, got 3
//     bad value: scale: expected a finite number, got nan
//     bad checksum: file: expected a header with CRC-32C 0x0badcafe, got 0x1cebe9fc
//     overlap: output: expected no memory shared with key
//
// A float has as many digits as it takes to read it back, at most nine.
HEED_EXPORT size_t FormatStatus(const Status& status, char* buffer, size_t size);

// No sentence of this library's is longer, its NUL included.
inline constexpr size_t kMaxSentence = 160;

}  // namespace heed

#endif  // HEED_STATUS_H_
