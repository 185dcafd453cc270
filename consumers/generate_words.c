#include "consumers/generate_words.h"

const kd_gen_department kd_gen_departments[KD_GEN_DEPARTMENTS] = {
    {{"Kitchen", "厨房用品"},
     {{"teapot", "茶壶"}, {"frying pan", "平底锅"}, {"coffee mug", "咖啡杯"},
      {"cutting board", "砧板"}, {"storage jar", "储物罐"}, {"dinner plate", "餐盘"}}, 6, 90},
    {{"Bags", "箱包"},
     {{"backpack", "双肩包"}, {"tote bag", "手提袋"}, {"suitcase", "行李箱"},
      {"wallet", "钱包"}, {"laptop sleeve", "电脑包"}, {"shoulder bag", "单肩包"}}, 15, 240},
    {{"Shoes", "鞋靴"},
     {{"running shoes", "跑步鞋"}, {"sandals", "凉鞋"}, {"winter boots", "雪地靴"},
      {"sneakers", "休闲鞋"}, {"slippers", "拖鞋"}, {"hiking shoes", "登山鞋"}}, 18, 180},
    {{"Lighting", "灯具"},
     {{"desk lamp", "台灯"}, {"lantern", "灯笼"}, {"night light", "小夜灯"},
      {"string lights", "彩灯串"}, {"ceiling lamp", "吸顶灯"}, {"floor lamp", "落地灯"}}, 9, 160},
    {{"Toys", "玩具"},
     {{"building blocks", "积木"}, {"puzzle", "拼图"}, {"plush bear", "毛绒熊"},
      {"toy train", "玩具火车"}, {"kite", "风筝"}, {"board game", "桌游"}}, 5, 70},
    {{"Garden", "园艺"},
     {{"flower pot", "花盆"}, {"watering can", "洒水壶"}, {"garden gloves", "园艺手套"},
      {"bird house", "鸟屋"}, {"seed kit", "种子套装"}, {"pruning shears", "修枝剪"}}, 4, 60},
    {{"Audio", "影音"},
     {{"headphones", "耳机"}, {"bluetooth speaker", "蓝牙音箱"}, {"record player", "唱片机"},
      {"microphone", "麦克风"}, {"sound bar", "回音壁"}, {"radio", "收音机"}}, 20, 400},
    {{"Clothing", "服装"},
     {{"t-shirt", "短袖T恤"}, {"rain jacket", "雨衣"}, {"wool sweater", "羊毛衫"},
      {"jeans", "牛仔裤"}, {"summer dress", "连衣裙"}, {"scarf", "围巾"}}, 10, 150},
    {{"Books", "图书"},
     {{"cookbook", "食谱"}, {"picture book", "绘本"}, {"travel guide", "旅行指南"},
      {"notebook", "笔记本"}, {"crime novel", "推理小说"}, {"atlas", "地图册"}}, 6, 45},
    {{"Beauty", "美妆个护"},
     {{"hand cream", "护手霜"}, {"face mask", "面膜"}, {"lipstick", "口红"},
      {"shampoo", "洗发水"}, {"perfume", "香水"}, {"hair dryer", "吹风机"}}, 4, 120},
    {{"Sports", "运动户外"},
     {{"yoga mat", "瑜伽垫"}, {"water bottle", "运动水壶"}, {"tent", "帐篷"},
      {"badminton racket", "羽毛球拍"}, {"dumbbell set", "哑铃套装"}, {"sleeping bag", "睡袋"}},
     8, 260},
    {{"Bedding", "家纺"},
     {{"pillow", "枕头"}, {"duvet cover", "被套"}, {"blanket", "毛毯"},
      {"bath towel", "浴巾"}, {"mattress topper", "床垫"}, {"curtain", "窗帘"}}, 8, 190},
    {{"Pets", "宠物用品"},
     {{"cat tree", "猫爬架"}, {"dog leash", "牵引绳"}, {"pet bowl", "宠物碗"},
      {"aquarium", "鱼缸"}, {"scratching post", "猫抓板"}, {"pet carrier", "宠物包"}}, 5, 130},
    {{"Office", "办公文具"},
     {{"fountain pen", "钢笔"}, {"stapler", "订书机"}, {"desk organiser", "桌面收纳"},
      {"whiteboard", "白板"}, {"pencil case", "笔袋"}, {"office chair", "办公椅"}}, 3, 220},
    {{"Food", "食品"},
     {{"green tea", "绿茶"}, {"dark chocolate", "黑巧克力"}, {"honey", "蜂蜜"},
      {"roasted nuts", "坚果"}, {"olive oil", "橄榄油"}, {"rice crackers", "米饼"}}, 3, 40},
    {{"Decoration", "装饰"},
     {{"heart ornament", "心形挂件"}, {"picture frame", "相框"}, {"scented candle", "香薰蜡烛"},
      {"wall clock", "挂钟"}, {"vase", "花瓶"}, {"wreath", "花环"}}, 3, 80},
};

const kd_gen_word kd_gen_adjectives[KD_GEN_ADJECTIVES] = {
    {"vintage", "复古"},   {"folding", "折叠"},    {"large", "大号"},      {"mini", "迷你"},
    {"waterproof", "防水"}, {"lightweight", "轻便"}, {"classic", "经典"},    {"soft", "柔软"},
    {"handmade", "手工"},  {"modern", "现代简约"}, {"warm", "保暖"},       {"portable", "便携"},
    {"Nordic", "北欧风"},  {"durable", "耐用"},    {"retro striped", "条纹"}, {"premium", "高档"},
};

const kd_gen_word kd_gen_materials[KD_GEN_MATERIALS] = {
    {"cotton", "纯棉"}, {"bamboo", "竹制"},     {"steel", "不锈钢"}, {"ceramic", "陶瓷"},
    {"leather", "真皮"}, {"glass", "玻璃"},     {"linen", "亚麻"},   {"wooden", "实木"},
    {"silicone", "硅胶"}, {"copper", "铜制"}, {"felt", "毛毡"},    {"recycled", "环保"},
};

const kd_gen_word kd_gen_colours[KD_GEN_COLOURS] = {
    {"red", "红色"},   {"navy blue", "藏青色"}, {"white", "白色"}, {"black", "黑色"},
    {"cream", "米色"}, {"olive green", "橄榄绿"}, {"grey", "灰色"}, {"pink", "粉色"},
    {"yellow", "黄色"}, {"brown", "棕色"},     {"purple", "紫色"}, {"turquoise", "青绿色"},
};

const kd_gen_word kd_gen_brands[KD_GEN_BRANDS] = {
    {"Larkfield", "云雀"}, {"Oakenby", "橡木坊"}, {"Hallam & Co", "海伦"}, {"Tarnside", "湖畔"},
    {"Brightwell", "明泉"}, {"Corvane", "鸦羽"}, {"Meadowlark", "草地"}, {"Fennick", "芬尼"},
    {"Sorrel", "酸模"},     {"Wexcombe", "维康"}, {"Pinehurst", "松岭"}, {"Ostrava", "奥斯特"},
    {"Marrow Lane", "巷里"}, {"Quillon", "羽笔"}, {"Thistledown", "蓟花"}, {"Ravello", "拉维罗"},
    {"Silverbeck", "银溪"}, {"Umberly", "赭石"}, {"Juniper Row", "杜松"}, {"Kestrel", "红隼"},
};
