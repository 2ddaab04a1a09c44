// cli/packed.h: a packed file in memory, opened and verified.
#ifndef HEED_PORTS_CLI_PACKED_H_
#define HEED_PORTS_CLI_PACKED_H_

#include <string>

#include <heed/weights.h>

#include "cli/error.h"
#include "cli/file.h"

namespace heed::cli {

class PackedFile {
 public:
  // Fails where the file is not a whole, unaltered packed file. Reads its header, and then no more
  // than the header asks for, and one byte.
  explicit PackedFile(const std::string& path);
  PackedFile(const PackedFile&) = delete;
  PackedFile& operator=(const PackedFile&) = delete;

  const Weights& weights() const { return weights_; }

 private:
  Memory memory_;
  Weights weights_;
};

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_PACKED_H_
