/* tests/capi/naive.h: attention by its textbook definition, in double, one loop for each sum. */
#ifndef HEED_TESTS_CAPI_NAIVE_H_
#define HEED_TESTS_CAPI_NAIVE_H_

#include "check.h"

typedef struct naive_masks {
  heed_byte_mask keep, ignore, key_padding;
  heed_float_mask bias;
  heed_lengths lengths;
  int causal;
  int64_t offset, window, window_right;
} naive_masks;

/* q [batch][heads][query_len][head_dim], k and v [batch][kv_heads][key_len][...], with `added` keys
 * of [kv_heads][added][...] that every row sees. */
typedef struct naive_call {
  size_t batch, heads, kv_heads, query_len, key_len, head_dim, value_dim, added;
  const double *q, *k, *v, *added_k, *added_v;
  double scale, softcap;
  naive_masks masks;
} naive_call;

static inline double* doubles(size_t count) {
  return (double*)aligned((count + 1) * sizeof(double));
}

static inline size_t byte_index(const heed_byte_mask* m, size_t b, size_t h, size_t i, size_t j) {
  return (m->batch > 1 ? b : 0) * m->batch_stride + (m->heads > 1 ? h : 0) * m->head_stride +
         (m->query_len > 1 ? i : 0) * m->query_stride + (m->key_len > 1 ? j : 0) * m->key_stride;
}

static inline double bias_at(const heed_float_mask* m, size_t b, size_t h, size_t i, size_t j) {
  if (m->data == NULL) return 0.0;
  return (double)m->data[(m->batch > 1 ? b : 0) * m->batch_stride +
                         (m->heads > 1 ? h : 0) * m->head_stride +
                         (m->query_len > 1 ? i : 0) * m->query_stride +
                         (m->key_len > 1 ? j : 0) * m->key_stride];
}

static inline int visible(const naive_masks* m, size_t b, size_t h, size_t i, size_t j) {
  const int64_t position = (int64_t)i + m->offset;
  if (m->keep.data != NULL && m->keep.data[byte_index(&m->keep, b, h, i, j)] == 0) return 0;
  if (m->ignore.data != NULL && m->ignore.data[byte_index(&m->ignore, b, h, i, j)] != 0) return 0;
  if (m->key_padding.data != NULL &&
      m->key_padding.data[byte_index(&m->key_padding, b, h, i, j)] != 0) {
    return 0;
  }
  if (m->lengths.data != NULL && (int64_t)j >= m->lengths.data[b]) return 0;
  const int is_causal = m->causal != 0 || (m->window > 0 && m->window_right == 0);
  if (is_causal && (int64_t)j > position) return 0;
  if (m->window_right > 0 && (int64_t)j > position + m->window_right) return 0;
  if (m->window > 0 && (int64_t)j <= position - m->window) return 0;
  return !(bias_at(&m->bias, b, h, i, j) == -HUGE_VAL);
}

/* out [batch][heads][query_len][value_dim], weights [batch][heads][query_len][key_len + added]. */
static inline void naive_attend(const naive_call* c, double* out, double* weights) {
  const size_t columns = c->key_len + c->added;
  for (size_t row = 0; row < c->batch * c->heads * c->query_len; ++row) {
    const size_t i = row % c->query_len;
    const size_t h = row / c->query_len % c->heads;
    const size_t b = row / c->query_len / c->heads;
    const size_t g = h / (c->heads / c->kv_heads);
    double* w = weights + row * columns;
    double* o = out + row * c->value_dim;
    double maximum = -HUGE_VAL, sum = 0;
    for (size_t j = 0; j < columns; ++j) {
      const double* key = j < c->key_len
                              ? c->k + ((b * c->kv_heads + g) * c->key_len + j) * c->head_dim
                              : c->added_k + (g * c->added + j - c->key_len) * c->head_dim;
      double score = 0;
      for (size_t d = 0; d < c->head_dim; ++d) {
        score += c->scale * c->q[row * c->head_dim + d] * key[d];
      }
      if (c->softcap != 0) score = c->softcap * tanh(score / c->softcap);
      if (j < c->key_len) score += bias_at(&c->masks.bias, b, h, i, j);
      w[j] = j >= c->key_len || visible(&c->masks, b, h, i, j) ? score : -HUGE_VAL;
      if (w[j] > maximum) maximum = w[j];
    }
    for (size_t j = 0; j < columns; ++j) {
      w[j] = w[j] == -HUGE_VAL ? 0.0 : exp(w[j] - maximum);
      sum += w[j];
    }
    for (size_t d = 0; d < c->value_dim; ++d) o[d] = 0;
    for (size_t j = 0; j < columns && sum != 0; ++j) {
      const double* value = j < c->key_len
                                ? c->v + ((b * c->kv_heads + g) * c->key_len + j) * c->value_dim
                                : c->added_v + (g * c->added + j - c->key_len) * c->value_dim;
      w[j] /= sum;
      for (size_t d = 0; d < c->value_dim; ++d) o[d] += w[j] * value[d];
    }
  }
}

/* x [batch][len][in] times weight [heads * dim][in] -> [batch][heads][len][dim]. */
static inline double* naive_project(heed_const_tensor x, const float* weight, const float* bias,
                                    size_t heads, size_t dim) {
  double* out = doubles(x.batch * heads * x.rows * dim);
  for (size_t b = 0; b < x.batch; ++b) {
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t n = 0; n < heads * dim; ++n) {
        double sum = bias == NULL ? 0.0 : (double)bias[n];
        for (size_t e = 0; e < x.columns; ++e) {
          sum += (double)x.data[b * x.batch_stride + r * x.row_stride + e] *
                 (double)weight[n * x.columns + e];
        }
        out[((b * heads + n / dim) * x.rows + r) * dim + n % dim] = sum;
      }
    }
  }
  return out;
}

/* merged [batch][heads][len][dim] times weight [columns][heads * dim] -> [batch][len][columns]. */
static inline double* naive_merge(const double* heads_out, const naive_call* c,
                                  const float* weight, const float* bias, size_t columns) {
  const size_t dim = c->value_dim;
  double* out = doubles(c->batch * c->query_len * columns);
  for (size_t row = 0; row < c->batch * c->query_len; ++row) {
    const size_t b = row / c->query_len, i = row % c->query_len;
    for (size_t n = 0; n < columns; ++n) {
      double sum = bias == NULL ? 0.0 : (double)bias[n];
      for (size_t k = 0; k < c->heads * dim; ++k) {
        sum += heads_out[((b * c->heads + k / dim) * c->query_len + i) * dim + k % dim] *
               (double)weight[n * c->heads * dim + k];
      }
      out[row * columns + n] = sum;
    }
  }
  return out;
}

/* weights [batch][heads][rest] -> their mean over heads [batch][rest]. */
static inline double* naive_average(const double* weights, size_t batch, size_t heads,
                                    size_t rest) {
  double* mean = doubles(batch * rest);
  for (size_t i = 0; i < batch * heads * rest; ++i) {
    mean[i / (heads * rest) * rest + i % rest] += weights[i] / (double)heads;
  }
  return mean;
}

#endif  /* HEED_TESTS_CAPI_NAIVE_H_ */
