// cli/kinds.h: files of other kinds than the one that was asked for, told by their first bytes.
#ifndef HEED_PORTS_CLI_KINDS_H_
#define HEED_PORTS_CLI_KINDS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace heed::cli {

enum class Kind { kSafetensors, kPacked, kNpy, kCache };

constexpr size_t kKindBytes = 256;  // from the start of a file; fewer may hide its kind

// Fails with one sentence, which says what the file is and what to do about it, where the bytes at
// its start are known as those of another kind than `wanted`.
void CheckKind(const std::string& path, std::string_view start, Kind wanted);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_KINDS_H_
