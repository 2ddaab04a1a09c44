/* count.c: a QEMU plugin that counts the instructions a program executes on an emulated AArch64
 * core, and among them multiply-adds on vectors and loads. Prints "TOTAL FMLA LOADS" at exit.
 *
 * Debian's QEMU exports the plugin interface but ships no header; the declarations below are those
 * of its version 1 (QEMU 4.2 to 8.2). */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { ADD_U64 = 0 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t id,
                                                            struct qemu_plugin_tb* block));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* block, int operation,
                                              void* counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
                                    void (*callback)(qemu_plugin_id_t id, void* data), void* data);

EXPORT int qemu_plugin_version = 1;

static struct {
  uint64_t total, fmla, loads;
} counts;

/* FMLA (vector) and FMLA (by element), 4S and 2S. */
static int is_fmla(uint32_t code) {
  return (code & 0xbfa0fc00u) == 0x0e20cc00u || (code & 0xbfc0f400u) == 0x0f801000u;
}
/* Loads and stores have bits 27 and 25 as 1 and 0; the L bit is 22, and a literal is a load. */
static int is_load(uint32_t code) {
  if ((code & 0x0a000000u) != 0x08000000u) return 0;
  if ((code & 0x3b000000u) == 0x18000000u) return 1;
  return (code >> 22 & 1) != 0;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t total = qemu_plugin_tb_n_insns(block);
  uint64_t fmla = 0, loads = 0;
  for (size_t i = 0; i < total; ++i) {
    uint32_t code;
    memcpy(&code, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof code);
    fmla += is_fmla(code);
    loads += is_load(code);
  }
  qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts.total, total);
  qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts.fmla, fmla);
  qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts.loads, loads);
}

static void print(qemu_plugin_id_t id, void* data) {
  (void)id;
  (void)data;
  fprintf(stderr, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.total, counts.fmla,
          counts.loads);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, print, NULL);
  return 0;
}
