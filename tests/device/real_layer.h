// tests/device/real_layer.h: PP-OCRv4's first attention layer on a line of text, the packed file
// used where it is linked.
#ifndef HEED_TESTS_DEVICE_REAL_LAYER_H_
#define HEED_TESTS_DEVICE_REAL_LAYER_H_

#include <cstddef>
#include <cstdint>

#include "tests/device/cases.h"

namespace heed::test {

// Made by embed.cmake; aligned to 64.
extern const unsigned char kLayerFile[];  // as `heed pack` writes it
extern const size_t kLayerFileBytes;
extern const unsigned char kInt8LayerFile[];  // with --weights int8 --core int8
extern const size_t kInt8LayerFileBytes;
extern const unsigned char kLayerQuery[];  // .npy, float32 [1][57][120]
extern const size_t kLayerQueryBytes;

inline constexpr uint32_t kRealLayerChecksum = 0x39d07138;  // of the output, as in checksums.inc
inline constexpr uint32_t kInt8LayerChecksum = 0xc9b401bb;
inline constexpr size_t kRealLayerBytes = 139264;  // of memory for RunRealLayer
inline constexpr size_t kInt8LayerBytes = 143168;

CaseResult RunRealLayer(const CaseOptions& options, MutableBytes memory);
CaseResult RunInt8Layer(const CaseOptions& options, MutableBytes memory);

}  // namespace heed::test

#endif  // HEED_TESTS_DEVICE_REAL_LAYER_H_
