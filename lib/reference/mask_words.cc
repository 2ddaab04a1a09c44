#include "lib/reference/mask_words.h"

#include "lib/support/bits.h"

namespace heed::reference {
namespace {

bool Sees(const MaskWordsArgs& args, size_t r, size_t j) {
  if (args.is_banded) {
    const int64_t key = static_cast<int64_t>(j) - static_cast<int64_t>(r);
    if (key < args.begin || key >= args.end) return false;
  }
  for (const MaskWordsArgs::Bytes& mask : args.bytes) {
    if (mask.data == nullptr) continue;
    const bool is_zero = mask.data[r * mask.row_stride + j * mask.key_stride] == 0;
    if (is_zero != mask.hides_non_zero) return false;
  }
  return args.bias == nullptr ||
         BitsOf(args.bias[r * args.bias_row_stride + j * args.bias_key_stride]) !=
             kMinusInfinityBits;
}

}  // namespace

void MaskWords(const MaskWordsArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    args.words[r] = 0;
    for (size_t j = 0; j < args.num_keys; ++j) {
      if (Sees(args, r, j)) args.words[r] |= uint64_t{1} << j;
    }
  }
}

}  // namespace heed::reference
