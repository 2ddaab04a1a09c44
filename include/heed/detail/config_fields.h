// heed/detail/config_fields.h: the fields of AttentionConfig, listed once. Whoever needs every
// field visits this list: the packed file, the comparison of two configs, the C ABI, `heed info`. A
// new field is a member of AttentionConfig and a line here (tests/unit/config_fields_test.cc
// compares them). Part of the library's inside: it may change in any version.
#ifndef HEED_DETAIL_CONFIG_FIELDS_H_
#define HEED_DETAIL_CONFIG_FIELDS_H_

#include <cstddef>
#include <cstdint>

namespace heed::detail {

struct ConfigField {
  const char* argument;  // "config.embed_dim", as a Status names the field
  // Where a packed file keeps the field (lib/weights/packed_file.h): the word of the header's
  // config, or, for a bool, the bit of its word of flags. Part of the file format: never
  // renumbered.
  uint32_t slot;
  // 0, or the id of the tagged field that holds the number; `slot` is then not used. Tagged fields
  // came with version 2 of the file.
  uint16_t tag = 0;

  constexpr const char* name() const { return argument + sizeof("config.") - 1; }  // "embed_dim"
};

// Calls visit(field, member of the first config, of the second, ...) for each field, in order. The
// configs are AttentionConfig, or structs with the same member names, as heed_attention_config is.
template <typename Visitor, typename... Configs>
constexpr void VisitConfigFields(const Visitor& visit, Configs&... configs) {
  visit(ConfigField{"config.embed_dim", 0}, configs.embed_dim...);
  visit(ConfigField{"config.num_heads", 1}, configs.num_heads...);
  visit(ConfigField{"config.num_kv_heads", 2}, configs.num_kv_heads...);
  visit(ConfigField{"config.head_dim", 3}, configs.head_dim...);
  visit(ConfigField{"config.kdim", 4}, configs.kdim...);
  visit(ConfigField{"config.vdim", 5}, configs.vdim...);
  visit(ConfigField{"config.scale", 6}, configs.scale...);
  visit(ConfigField{"config.softcap", 7}, configs.softcap...);
  visit(ConfigField{"config.window", 8}, configs.window...);
  visit(ConfigField{"config.q_bias", 0}, configs.q_bias...);
  visit(ConfigField{"config.k_bias", 1}, configs.k_bias...);
  visit(ConfigField{"config.v_bias", 2}, configs.v_bias...);
  visit(ConfigField{"config.out_bias", 3}, configs.out_bias...);
  visit(ConfigField{"config.add_bias_kv", 4}, configs.add_bias_kv...);
  visit(ConfigField{"config.add_zero_attn", 5}, configs.add_zero_attn...);
  visit(ConfigField{"config.weights", 10}, configs.weights...);
  visit(ConfigField{"config.core", 11}, configs.core...);
  visit(ConfigField{"config.rope_style", 0, 1}, configs.rope_style...);
  visit(ConfigField{"config.rope_dims", 0, 2}, configs.rope_dims...);
  visit(ConfigField{"config.rope_factor", 0, 3}, configs.rope_factor...);
  visit(ConfigField{"config.q_norm", 0, 4}, configs.q_norm...);
  visit(ConfigField{"config.k_norm", 0, 5}, configs.k_norm...);
  visit(ConfigField{"config.norm_eps", 0, 6}, configs.norm_eps...);
}

}  // namespace heed::detail

#endif  // HEED_DETAIL_CONFIG_FIELDS_H_
