// tests/support/plain_layer.h: the layer in the plain loops of lib/reference/layer.h.
#ifndef HEED_TESTS_SUPPORT_PLAIN_LAYER_H_
#define HEED_TESTS_SUPPORT_PLAIN_LAYER_H_

#include "tests/support/layer.h"

namespace heed::test {

// As RunLayer, with the reference in place of a target. The call is not checked.
Outputs RunPlain(const LayerData& data, ForwardArgs args,
                 WeightsWanted wanted = WeightsWanted::kNone);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_PLAIN_LAYER_H_
