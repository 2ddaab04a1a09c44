// lib/reference/mask_words.h: masks as one bit a key.
#ifndef HEED_LIB_REFERENCE_MASK_WORDS_H_
#define HEED_LIB_REFERENCE_MASK_WORDS_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void MaskWords(const MaskWordsArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_MASK_WORDS_H_
