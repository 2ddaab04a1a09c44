// tests/support/plain_layer.h: a layer computed by the plain loops of lib/reference/layer.h.
#ifndef HEED_TESTS_SUPPORT_PLAIN_LAYER_H_
#define HEED_TESTS_SUPPORT_PLAIN_LAYER_H_

#include "tests/support/layer.h"

namespace heed::test {

// Does what RunLayer does by the plain loops, which do not check the call.
Outputs RunPlain(const LayerData& data, ForwardArgs args,
                 WeightsWanted wanted = WeightsWanted::kNone);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_PLAIN_LAYER_H_
