// heed/status.h: how every call answers. A Status is a value of four words: no allocation, no
// text until a caller asks for it, nothing to free.
#ifndef HEED_STATUS_H_
#define HEED_STATUS_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// Part of the ABI: appended, never renumbered.
enum class StatusCode : int32_t {
  kOk = 0,
  kNullPointer = 1,      // a pointer that this call needs is null
  kBadConfig = 2,        // the AttentionConfig contradicts itself
  kBadValue = 3,         // a scalar argument (window, offset, scale) out of range
  kBadShape = 10,        // a tensor's shape or strides
  kBadMask = 11,         // a mask's shape, or a key length out of range
  kOverlap = 12,         // an output shares memory with something else
  kMisaligned = 13,      // a pointer lacks the alignment the declaration names
  kOverLimit = 14,       // a shape is larger than the Limits given to Create
  kBlockTooSmall = 20,   // the caller's memory is smaller than the constexpr size
  kStalePlan = 21,       // the layer's plan was overwritten, by another Create for instance
  kBadMagic = 30,        // not a .heed file
  kBadVersion = 31,      // a .heed file of another version
  kBadChecksum = 32,     // header or payload were altered
  kBadHeader = 33,       // a header whose fields contradict each other or the file's size
  kConfigMismatch = 34,  // the file holds another layer than the caller expects
  kUnknownTarget = 40,   // no such dispatch target, or this CPU cannot run it
  kUnsupported = 41,     // known to the format, not built into this library
  kBackendFailed = 42,   // a projection backend of the application's gave up
  kInternal = 50,        // a bug in heed; please report it
};

// The answer of a call. `argument` and `expectation` are static strings, null when ok.
struct [[nodiscard]] Status {
  StatusCode code = StatusCode::kOk;
  const char* argument = nullptr;     // what was wrong: "key", "limits.max_batch", "wq"
  const char* expectation = nullptr;  // what was expected of it: "last dimension"
  int64_t expected = 0;
  int64_t actual = 0;

  constexpr bool ok() const { return code == StatusCode::kOk; }
};

// The name of a code, e.g. "bad shape"; "unknown status" for any other number. Static storage.
const char* StatusCodeName(StatusCode code);

// Writes "bad shape: key: last dimension: expected 64, got 60" (NUL-terminated, cut to fit) into
// buffer[size] and returns the length the whole sentence has, as snprintf does. Codes whose
// expectation says everything (a null pointer, an overlap) omit the two numbers.
size_t FormatStatus(const Status& status, char* buffer, size_t size);

}  // namespace heed

#endif  // HEED_STATUS_H_
