// heed/status.h: how every call answers.
//
//     #include <cstdio>
//     #include "heed/status.h"
//
//     // Prints "heed: bad shape: key: length (rows): expected 64, got 60", or nothing.
//     bool Succeeded(const heed::Status& status) {
//       char sentence[160];
//       heed::FormatStatus(status, sentence, sizeof(sentence));
//       if (!status.ok()) std::fprintf(stderr, "heed: %s\n", sentence);
//       return status.ok();
//     }
//
// A Status is a small value. Nothing is allocated for it, there is nothing to free, and its text is
// only made when a caller asks for it.
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
  kBusy = 22,            // another call of the same layer is running
  kBadMagic = 30,        // not a .heed file
  kBadVersion = 31,      // a .heed file of another version
  kBadChecksum = 32,     // header or payload were altered
  kBadHeader = 33,       // a header whose fields contradict each other or the file's size
  kConfigMismatch = 34,  // the file holds another layer than the caller expects
  kBadPayload = 35,      // packed weights that contradict each other, beside a right checksum
  kUnknownTarget = 40,   // no such dispatch target, or this CPU cannot run it
  kUnsupported = 41,     // a type that this library was built without
  kBackendFailed = 42,   // a projection backend of the application's gave up
  kInternal = 50,        // a bug in heed; please report it
};

// The answer of a call. The compiler warns where it is ignored. Both texts are static, and null
// when the status is ok; their words may change in any version.
struct [[nodiscard]] Status {
  StatusCode code = StatusCode::kOk;
  const char* argument = nullptr;     // what was wrong: "key", "limits.max_batch", "wq"
  const char* expectation = nullptr;  // what was expected of it: "last dimension"
  int64_t expected = 0;               // the number that was expected, in the unit of the argument
  int64_t actual = 0;                 // and the one that was given

  constexpr bool ok() const { return code == StatusCode::kOk; }
};

// The name of a code, such as "bad shape", as static text; "unknown status" for any other number.
HEED_EXPORT const char* StatusCodeName(StatusCode code);

// Writes a sentence such as "bad shape: key: length (rows): expected 64, got 60" into buffer[size],
// cut to fit and with a NUL at its end, and returns the length of the whole sentence, as snprintf
// does. The buffer may be null where size is 0. Codes whose expectation says everything (a null
// pointer, an overlap) come without the two numbers.
HEED_EXPORT size_t FormatStatus(const Status& status, char* buffer, size_t size);

}  // namespace heed

#endif  // HEED_STATUS_H_
