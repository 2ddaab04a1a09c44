/* tests/capi/check.h: what the C tests share: checks, random numbers, aligned memory. */
#ifndef HEED_TESTS_CAPI_CHECK_H_
#define HEED_TESTS_CAPI_CHECK_H_

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heed/heed.h"

static int failures;

#define CHECK(condition) check_true((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_OK(status) check_status((status), HEED_OK, NULL, __FILE__, __LINE__)
/* The code, and the argument that the status must name. */
#define CHECK_REFUSED(status, code, argument) \
  check_status((status), (code), (argument), __FILE__, __LINE__)

static inline int check_true(int holds, const char* text, const char* file, int line) {
  if (!holds) {
    ++failures;
    printf("%s:%d: %s\n", file, line, text);
  }
  return holds;
}

static inline int same_text(const char* a, const char* b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static inline int check_status(heed_status status, heed_status_code code, const char* argument,
                               const char* file, int line) {
  char text[256];
  const int holds = status.code == code && same_text(status.argument, argument) &&
                    (status.code != HEED_OK || status.expectation == NULL);
  heed_format_status(&status, text, sizeof text);
  if (!holds) {
    ++failures;
    printf("%s:%d: expected %s: %s, got %s\n", file, line, heed_status_code_name(code),
           argument == NULL ? "" : argument, text);
  }
  return holds;
}

static void* last_allocation;

/* Zeroed memory aligned to 64, kept until report(). */
static inline void* aligned(size_t bytes) {
  void** memory = (void**)calloc(bytes + 128, 1);
  if (memory == NULL) {
    printf("out of memory\n");
    exit(1);
  }
  *memory = last_allocation;
  last_allocation = memory;
  return (void*)(((uintptr_t)(memory + 1) + 63) & ~(uintptr_t)63);
}

/* The program's last line and exit code. */
static inline int report(const char* name) {
  while (last_allocation != NULL) {
    void* previous = *(void**)last_allocation;
    free(last_allocation);
    last_allocation = previous;
  }
  printf("%s: %d failed\n", name, failures);
  return failures == 0 ? 0 : 1;
}

static inline double uniform(uint64_t* seed) { /* in (-1, 1) */
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(*seed >> 11) / (double)(UINT64_C(1) << 52) - 1.0;
}

static inline float* random_floats(uint64_t* seed, size_t count, double scale) {
  float* values = (float*)aligned(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) values[i] = (float)(scale * uniform(seed));
  return values;
}

/* About one in three bytes is not zero, with any value from 1 to 255. */
static inline uint8_t* random_bytes(uint64_t* seed, size_t count) {
  uint8_t* values = (uint8_t*)aligned(count);
  for (size_t i = 0; i < count; ++i) {
    const double u = uniform(seed);
    values[i] = (uint8_t)(u < 0.3 ? 0 : 1 + (int)(u * 254));
  }
  return values;
}

/* The largest difference as a fraction of the largest expected number; NaN counts as infinite. */
static inline double relative_error(const float* actual, const double* expected, size_t count) {
  double error = 0, largest = 1e-30;
  for (size_t i = 0; i < count; ++i) {
    const double difference = fabs((double)actual[i] - expected[i]);
    if (!(difference <= error)) error = difference == difference ? difference : HUGE_VAL;
    if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
  }
  return error / largest;
}

#endif  /* HEED_TESTS_CAPI_CHECK_H_ */
