# cmake -DLAYER=FILE.heed -DINT8=FILE.heed -DQUERY=FILE.npy -DOUTPUT=FILE.cc -P embed.cmake: files as
# constant arrays.
function(as_array name file result)
  file(READ ${file} hex HEX)
  file(SIZE ${file} size)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  set(${result} "alignas(64) const unsigned char ${name}[] = {\n${hex}};
const size_t ${name}Bytes = ${size};\n" PARENT_SCOPE)
endfunction()
as_array(kLayerFile ${LAYER} layer)
as_array(kInt8LayerFile ${INT8} int8)
as_array(kLayerQuery ${QUERY} query)
file(WRITE ${OUTPUT} "#include \"tests/device/real_layer.h\"
namespace heed::test {
${layer}${int8}${query}}  // namespace heed::test\n")
