# heed's front door. `make help` lists what it opens.
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc 2> /dev/null || getconf _NPROCESSORS_ONLN)
SAMPLE = ports/example/ppocrv4_rec

BENCH = build/bench/bin/heed_bench

.PHONY: all help deps run test test-sanitize test-aarch64 test-baremetal-aarch64 test-cortex-m
.PHONY: test-wasm cross sizes limits bench bench-check bench-build xnnpack accuracy format clean

all: ## builds the library and the program into build/release (the default)
	@.ci/configure build/release $(CMAKE_FLAGS)
	@cmake --build build/release -j $(JOBS) --target heed_programs

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

deps: ## installs what is missing (Debian, Ubuntu) and fetches Highway; `make` installs nothing
	@.ci/deps

run: all ## packs and runs a real layer: PP-OCRv4's text recogniser
	@for i in 0 1; do \
	  build/release/bin/heed pack $(SAMPLE)/layer$$i.safetensors build/release/layer$$i.heed \
	    --heads 8 || exit 1; done
	@build/release/bin/heed_ppocrv4 $(SAMPLE) build/release/layer0.heed build/release/layer1.heed

test: all ## builds and runs all tests, limits and installation included
	@cmake --build build/release -j $(JOBS)
	@.ci/ctest build/release

test-sanitize: ## the same tests under Clang's AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/deps build program tests highway sanitizers
	@.ci/configure build/sanitize -C .cmake/presets/sanitize.cmake \
	  -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ $(CMAKE_FLAGS)
	@cmake --build build/sanitize -j $(JOBS)
	@.ci/ctest build/sanitize

test-aarch64: ## the tests for 64-bit ARM under QEMU, without and with SVE (installs both tools)
	@.ci/deps build program tests highway linux-aarch64
	@.ci/configure build/aarch64 \
	  -DCMAKE_TOOLCHAIN_FILE=ports/linux-aarch64/toolchain.cmake $(CMAKE_FLAGS)
	@cmake --build build/aarch64 -j $(JOBS)
	@QEMU_CPU=cortex-a53 .ci/ctest build/aarch64
	@QEMU_CPU=max,sve256=on,sve512=off .ci/ctest build/aarch64 \
	  -R '^(unit|unit_2|golden|threads|device|device_planted)$$'

build/release/layer0.heed: all
	@build/release/bin/heed pack $(SAMPLE)/layer0.safetensors $@ --heads 8

test-baremetal-aarch64: ## 64-bit ARM without an operating system, in QEMU
	@.ci/cross baremetal-aarch64 baremetal-aarch64:none baremetal-aarch64:f32 baremetal-aarch64:int8

test-cortex-m: ## Cortex-M4F without an operating system, in QEMU
	@.ci/cross cortex-m4 cortex-m4:none cortex-m4:f32 cortex-m4:int8

test-wasm: ## WebAssembly with SIMD128, in Node
	@.ci/cross wasm

cross: ## every port that can run here: installs its tools, builds, tests, prints one table
	@.ci/cross

cross-%: ## one row of it: make cross-linux-armv7
	@.ci/cross $*

sizes: ## bytes of the library for every port: whole, and without types and parts
	@.ci/sizes

limits: all ## what the archive needs, its size, the dependency rule, headers, installation
	@cd build/release && ctest -L limits -V | grep -E '^[0-9]+: |tests passed|Failed'

xnnpack: ## builds XNNPACK 20241108 into .cache, for ports/xnnpack (minutes)
	@JOBS=$(JOBS) .ci/deps xnnpack

bench-build:
	@.ci/deps build highway bench
	@.ci/configure build/bench -DHEED_BUILD_BENCH=ON -DHEED_BUILD_TESTS=OFF -DHEED_BUILD_CLI=OFF \
	  -DHEED_BUILD_EXAMPLES=OFF $(CMAKE_FLAGS)
	@cmake --build build/bench -j $(JOBS) --target heed_bench

bench: bench-build ## measures heed against its peers: table, bench/results.md and .svg
	@$(BENCH_RUN) $(BENCH) --benchmark_out=build/bench/results.json $(BENCH_FLAGS)
	@python3 bench/draw.py build/bench/results.json bench/results > /dev/null

bench-check: bench-build ## fails where heed misses a target of bench/shapes.h
	@$(BENCH_RUN) $(BENCH) --check $(BENCH_FLAGS); best=$$?; \
	if $(BENCH) --isa avx2 --benchmark_list_tests > /dev/null 2>&1; then \
	  $(BENCH_RUN) $(BENCH) --isa avx2 --weights f32 --check $(BENCH_FLAGS); avx2=$$?; fi; \
	[ $$best = 0 ] && [ $${avx2:-0} = 0 ]

accuracy: all ## measures all weight and cache types on real layers: tables in bench/accuracy.md
	@cmake --build build/release -j $(JOBS) --target heed_test_golden > /dev/null
	@.ci/accuracy build/release

format: ## clang-format over all sources (needs clang-format)
	@find include lib ports tests bench -name '*.h' -o -name '*.cc' -o -name '*.c' | \
	  xargs clang-format -i

clean: ## removes build
	@rm -rf build
