// cli/stream.h: a layer with a cache or a memory, a few rows at a time.
#ifndef HEED_PORTS_CLI_STREAM_H_
#define HEED_PORTS_CLI_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <heed/attention.h>

#include "cli/cache.h"
#include "cli/call.h"

namespace heed::cli {

// Positions of rows, from a file: [B, S] or [S] of int32 or int64.
class RowPositions {
 public:
  // With an empty path there are no positions.
  RowPositions(const std::string& path, const CallShape& shape);

  // The positions of rows [first, first + rows), valid until the next call.
  Positions Of(size_t first, size_t rows);

 private:
  size_t batch_ = 0, rows_ = 0;  // 0: none
  std::vector<int32_t> all_, part_;
};

// Calls `layer` on `rows_of_a_call` rows of args.query after the others. What args has for the
// whole sequence is cut for each call: query, output, attention weights, masks and positions.
//   args      has a cache, which the rows are appended to, or a memory
//   masks     of the whole sequence; with a cache, lengths are those of the entries at its end, and
//             rows that follow them are not fed
//   key_len   key columns of the whole sequence, without the added keys
void Stream(const Attention& layer, const ForwardArgs& args, const Masks& masks,
            RowPositions* positions, size_t rows_of_a_call, size_t key_len);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_STREAM_H_
