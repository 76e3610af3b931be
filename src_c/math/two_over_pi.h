/* two_over_pi.h: column j is 2/pi 2^(step j - MANT) modulo 4, in pieces. With x = z 2^(step j - MANT), z an integer,
 * the product of z and a column is x 2/pi modulo 4: the reduction of any argument of sin, cos and tan. (One row a
 * piece, so that a load is a gather. The doubles of the float instance are for its arithmetic in double.) */
#if REAL_IS_F32
enum { M(pi_step) = 4 }; /* log2 of the step: 16 binades a column */
static const double M(two_over_pi)[2][8] = {
    {0x1.45f306dc9c883p-24, 0x1.45f306dc9c883p-8, 0x1.f306dc9c882a5p+0, 0x1.6e4e441529fc2p+1,
     0x1.1054a7f09d5f4p-1, 0x1.29fc2757d1f53p+1, 0x1.3abe8fa9a6ee0p-2, 0x1.d1f534ddc0db6p+1},
    {-0x1.6b01ec5417056p-78, -0x1.6b01ec5417056p-62, 0x1.fc2757d1f534ep-55, 0x1.d5f47d4d37703p-53,
     0x1.f534ddc0db629p-55, 0x1.377036d8a5665p-53, 0x1.b6c52b3278872p-56, 0x1.4acc9e21c8210p-54},
};
#else
enum { M(pi_step) = 5 };
static const double M(two_over_pi)[4][32] = {
    {0x1.45f306dc9c883p-53, 0x1.45f306dc9c883p-21, 0x1.cc1b727220a95p+1, 0x1.054a7f09d5f48p-2,
     0x1.3abe8fa9a6ee0p+1, 0x1.a6ee06db14acdp+1, 0x1.14acc9e21c821p+1, 0x1.c820ff28b1d5fp-3,
     0x1.163abdebbc562p+0, 0x1.de2b0db92371dp+1, 0x1.2371d2126e970p+1, 0x1.ba5c00c925dd4p-1,
     0x1.25dd413a3243ap-1, 0x1.1921cfe1deb1dp+0, 0x1.deb1cb129a73fp+0, 0x1.4d39f74411afbp+1,
     0x1.1afa975da2427p-3, 0x1.da24274ce3813p+1, 0x1.c7026b45f7e41p+0, 0x1.f7e413991d63ap+0,
     0x1.1d639835339f5p+0, 0x1.339f49c845f8cp+0, 0x1.17e2ef7e4a0ecp-2, 0x1.c941d8ffc4c00p+1,
     0x1.c4bffef02cc08p+1, 0x1.6603fbcbc462dp-2, 0x1.788c5ad053690p+1, 0x1.4da3eda6cfd9ep-1,
     0x1.b3f6793e584dcp+1, 0x1.6136e9e8c7ecdp-1, 0x1.8fd9a797fa8b6p-2, 0x1.fea2d7527bac8p+0},
    {-0x1.6b01ec5417056p-107, -0x1.6b01ec5417056p-75, -0x1.ec54170565912p-59, -0x1.596447e493ad5p-57,
     0x1.b6c52b3278872p-53, -0x1.8778df7c035d4p-53, -0x1.ae9c5421443aap-60, -0x1.443a9e48db91cp-60,
     -0x1.236e4716f6c8bp-54, 0x1.09374b801924cp-54, 0x1.924bba8274648p-58, 0x1.3a32439fc3bd6p-57,
     -0x1.e214e34ed658cp-60, -0x1.3b5963045df73p-54, -0x1.77dca0ad144bbp-56, -0x1.a28976f62cc72p-53,
     0x1.338e04d68befdp-57, 0x1.68befc827323bp-53, 0x1.cc8eb1cc1a99dp-55, -0x1.f2b3182d8dee8p-54,
     -0x1.8dee81d1081b6p-54, -0x1.081b5f13801dap-54, 0x1.ff897ffde0598p-56, -0x1.0fd33f8086877p-55,
     -0x1.0d0ee74a5f593p-56, 0x1.a0a6d1f6d367fp-56, -0x1.25930261b069fp-53, 0x1.3e584dba7a320p-55,
     -0x1.61738132c3403p-53, 0x1.e5fea2d7527bbp-56, -0x1.5b08a7028341dp-57, -0x1.41a0e84c2f8c6p-56},
    {-0x1.6447e493ad4cep-161, -0x1.6447e493ad4cep-129, 0x1.b6c52b3278872p-117, 0x1.93c439041fe51p-112,
     0x1.07f9458eaf7afp-110, 0x1.d5ef5de2b0db9p-107, 0x1.b7246e3a424ddp-116, -0x1.6f6c8b47fe6dbp-114,
     -0x1.1ff9b6d115f63p-108, -0x1.15f62e6de301ep-108, 0x1.cfe1deb1cb12ap-112, 0x1.cb129a73ee882p-112,
     -0x1.177dca0ad144cp-116, 0x1.f52ebb4484e9ap-108, -0x1.ec598e3f652e8p-110, 0x1.35a2fbf209cc9p-111,
     -0x1.f633714e33e56p-111, -0x1.c67cacc60b638p-108, -0x1.6c6f740e8840ep-113, -0x1.d1081b5f13802p-110,
     0x1.d8ffc4bffef03p-111, -0x1.0fd33f8086877p-119, 0x1.fde5e2316b415p-113, -0x1.d297d64b824b2p-110,
     0x1.f6d367ecf27cbp-112, -0x1.86c1a7b24585dp-111, 0x1.b74f463f669e6p-108, -0x1.32c3402ba515bp-109,
     0x1.16ba93dd63f5fp-107, -0x1.c0a0d0742617cp-111, -0x1.30be31821d6b6p-114, -0x1.0eb5ada2b2809p-113},
    {0x1.e21c820ff28b2p-215, 0x1.e21c820ff28b2p-183, 0x1.07f9458eaf7afp-174, 0x1.8eaf7aef1586ep-166,
     -0x1.d4f246dc8e2dfp-167, 0x1.1b8e909374b80p-162, 0x1.700324977504fp-171, -0x1.115f62e6de302p-168,
     0x1.921cfe1deb1cbp-164, -0x1.0a71a76b2c609p-163, -0x1.63045df7282b4p-166, 0x1.afa975da24275p-167,
     0x1.213a671c09ad1p-170, -0x1.c7eca5d040df6p-163, -0x1.037d8cdc538d0p-165, -0x1.4e33e566305b2p-167,
     -0x1.8c16c6f740e88p-165, 0x1.17e2ef7e4a0ecp-162, 0x1.41d8ffc4bffefp-167, 0x1.2fffbc0b301fep-165,
     -0x1.9fc04343b9d29p-166, -0x1.d297d64b824b2p-174, -0x1.2e092c98130d8p-168, -0x1.8130d834f648bp-164,
     0x1.36e9e8c7ecd3dp-169, 0x1.fb34f2ff516bbp-167, -0x1.5d28ad8453814p-168, -0x1.14e050683a131p-166,
     0x1.7c5ecf41ce7dep-162, -0x1.8c10eb5ada2b3p-165, 0x1.2ea6bfb5fb120p-168, -0x1.0277039517bd5p-167},
};
#endif
