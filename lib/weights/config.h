// lib/weights/config.h: configs field by field, in the order of heed/detail/config_fields.h.
#ifndef HEED_LIB_WEIGHTS_CONFIG_H_
#define HEED_LIB_WEIGHTS_CONFIG_H_

#include <cstddef>
#include <cstdint>

#include "heed/weights.h"

namespace heed {

struct FileHeader;

// kConfigMismatch, which names the first field in which two resolved configs differ. Floats are
// equal where their bits are.
Status CheckSameConfig(const AttentionConfig& expected, const AttentionConfig& actual);

// The config of a packed file's header, unchecked, and the way back into a header of zeros.
AttentionConfig ConfigOf(const FileHeader& header);
void WriteConfig(const AttentionConfig& config, FileHeader* header);

// The same for the fields that have a tag: those that are not 0.
Status ReadTaggedFields(const std::byte* fields, size_t bytes, AttentionConfig* config);
void WriteTaggedFields(const AttentionConfig& config, std::byte* fields);

}  // namespace heed

#endif  // HEED_LIB_WEIGHTS_CONFIG_H_
