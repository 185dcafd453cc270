# Writes schemas/avro_texts.c from schemas/avro/*.avsc:  cmake -P schemas/embed.cmake
# The result is committed, so that a build needs no step of its own; test_avro fails when they differ.
set(here ${CMAKE_CURRENT_LIST_DIR})
set(out "/* avro_texts.c - the texts of schemas/avro, written by `cmake -P schemas/embed.cmake`. */\n")
string(APPEND out "#include \"schemas/avro_texts.h\"\n\n/* clang-format off */\nconst char *const kd_avro_texts[KD_SCHEMAS] = {\n")
foreach(pair BROWSE=BrowseEvent PURCHASE=PurchaseEvent CATALOG=CatalogItem FORGET=ForgetRequest
    UPDATE=RecommendationUpdate SIMILAR=SimilarShoppers DEAD_LETTER=DeadLetter RECEIPT=ForgetReceipt
    NEEDS=ShopperNeeds)
  string(REGEX REPLACE "=.*" "" id ${pair})
  string(REGEX REPLACE ".*=" "" name ${pair})
  file(READ ${here}/avro/${name}.avsc text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
  string(REGEX REPLACE "\n     \"$" "" text "${text}")
  string(APPEND out "    [KD_SCHEMA_${id}] =\n    (\"${text}),\n")
endforeach()
string(APPEND out "};\n")
file(WRITE ${here}/avro_texts.c "${out}")
