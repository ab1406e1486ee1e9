#!/usr/bin/env bash
# static/libraw.wasm from its sources: LibRaw, zlib and libjpeg-turbo, with our two small files.
#
# Needs Debian's emscripten (3.1.6), Node and npm of any origin, and the sources of Debian's packages. LibRaw and zlib
# come unmodified in the npm package lightdrift-libraw; libjpeg-turbo is Debian's source package. One line of LibRaw is
# mended below.
# The same sources and the same emscripten give the same bytes, in any folder. JOBS=n compiles n files at a time.
# SHA256SUMS says what came out of what, and by which compiler; a test holds the files to it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
static=$here/../static
work=${SCOTOPIC_WASM_BUILD:-$here/../../../../build/libraw}
mkdir -p "$work"
cd "$work"
export NODE_PATH=/usr/share/nodejs LC_ALL=C

PACKAGE=lightdrift-libraw-1.0.0
PACKAGE_SHA512=4b00c9c067366301bb5277337364427ea1ced5bffbeb148c067bbe27f805d50207f2688251753425e97636800f1d931a41c02394699f5291907c9fc1851f1b6e
JPEG=libjpeg-turbo
JPEG_FILE=libjpeg-turbo_2.1.5.orig.tar.gz
JPEG_SHA256=254f3642b04e309fee775123133c6464181addc150499561020312ec61c1bf7c

[ -f $PACKAGE.tgz ] || npm pack --silent lightdrift-libraw@1.0.0 > /dev/null
echo "$PACKAGE_SHA512  $PACKAGE.tgz" | sha512sum --check --quiet

if [ ! -f $JPEG_FILE ]; then
    # The system's own list of packages, asked for their sources.
    mkdir -p sources/parts sources/lists
    for list in /etc/apt/sources.list.d/*.sources; do
        sed 's/^Types:.*/Types: deb-src/' "$list" > "sources/parts/$(basename "$list")"
    done
    { ! [ -f /etc/apt/sources.list ] || sed -n 's/^deb /deb-src /p' /etc/apt/sources.list; } > sources/parts/main.list
    options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources/parts"
        -o "Dir::State::Lists=$work/sources/lists")
    apt-get "${options[@]}" update || true # other lists than Debian's own may hold no sources
    apt-get "${options[@]}" source --download-only $JPEG
fi
echo "$JPEG_SHA256  $JPEG_FILE" | sha256sum --check --quiet

rm -rf package libjpeg-turbo-2.1.5
tar xzf $PACKAGE.tgz
tar xzf $JPEG_FILE
RAW=package/vendor/libraw-0.22.2
ZLIB=package/vendor/zlib-1.3.2
TURBO=libjpeg-turbo-2.1.5

# A length minus 63 underflows where size_t has 32 bits: the name of Canon's CRW cameras was lost.
sed -i 's/fseek(ifp, strbuflen(make) - 63, SEEK_CUR)/fseek(ifp, int(strbuflen(make)) - 63, SEEK_CUR)/' \
    $RAW/src/metadata/ciff.cpp
grep -q 'int(strbuflen(make)) - 63' $RAW/src/metadata/ciff.cpp

# What neither our encoder nor DNG's tiles need of libjpeg: its header says that these may be left undefined.
for option in C_MULTISCAN_FILES C_PROGRESSIVE DCT_FLOAT DCT_IFAST ENTROPY_OPT IDCT_SCALING INPUT_SMOOTHING \
    QUANT_1PASS QUANT_2PASS UPSAMPLE_MERGING; do
    sed -i "s/^#define ${option}_SUPPORTED/#undef ${option}_SUPPORTED/" $TURBO/jmorecfg.h
done

# LibRaw without its own development, and the placeholders that it has for that.
left_out='/demosaic/|/x3f/|/libraw_c_api|/unpack_thumb|/thumb_utils|/aspect_ratio|/dcraw_process|/mem_image'
left_out+='|/postprocessing_utils\.cpp|/ext_preprocess|/raw2image|/subtract_black|/apply_profile|/file_write'
left_out+='|/tiff_writer'
turbo='jcapimin jcapistd jccoefct jccolor jcdctmgr jchuff jcinit jcmainct jcmarker jcmaster jcomapi jcparam
    jcprepct jcsample jdapimin jdapistd jdatasrc jdcoefct jdcolor jddctmgr jdhuff jdinput jdmainct jdmarker jdmaster
    jdphuff jdpostct jdsample jerror jfdctint jidctint jmemmgr
    jmemnobs jsimd_none jutils'
{
    find $RAW/src -name '*.cpp' | grep -vE "$left_out"
    for name in adler32 crc32 inffast inflate inftrees uncompr zutil; do echo $ZLIB/$name.c; done
    for name in $turbo; do echo $TURBO/$name.c; done
    echo "scotopic.cpp jpeg.cpp" | tr ' ' '\n'
} | sort > files
cp "$here"/{scotopic,jpeg}.cpp .
cp -r "$here/jpeg" .

export FLAGS="-w -DLIBRAW_NODLL -DLIBRAW_NOTHREADS -DUSE_ZLIB -DZLIB_CONST -DUSE_JPEG -DUSE_6BY9RPI -DNDEBUG
    -I$RAW -I$ZLIB -Ijpeg -I$TURBO"
compile() {
    # Most of it runs once a file: small rather than fast.
    local speed=-Os
    case $1 in */decoders/* | */decompressors/* | */inf* | */jfdctint* | */jccolor* | */jcdctmgr* | */jchuff*) speed=-O2 ;; esac
    case $1 in
        *.cpp) em++ -std=c++17 -fwasm-exceptions $speed $FLAGS -c "$1" -o "objects/$(echo "$1" | tr / _).o" ;;
        *) emcc $speed $FLAGS -c "$1" -o "objects/$(echo "$1" | tr / _).o" ;;
    esac
}
export -f compile
rm -rf objects
mkdir objects
nice xargs -a files -P "${JOBS:-1}" -I{} bash -c 'compile "$1"' _ {}

# Exceptions of WebAssembly's own: every browser since 2022 knows them, and nothing needs emscripten's JavaScript.
nice em++ -O3 -fwasm-exceptions objects/*.o -o libraw.wasm --no-entry -s STANDALONE_WASM=1 \
    -s ALLOW_MEMORY_GROWTH=1 -s ABORTING_MALLOC=0 -s EXPORTED_FUNCTIONS=_malloc,_free -s INITIAL_MEMORY=16MB \
    -s TOTAL_STACK=1MB
cp libraw.wasm "$static/libraw.wasm"
chmod 644 "$static/libraw.wasm"

rule=$(printf '%.0s-' {1..78})
{
    cat "$here/NOTICES"
    for text in $RAW/COPYRIGHT $RAW/LICENSE.LGPL $RAW/LICENSE.CDDL $ZLIB/LICENSE $TURBO/README.ijg; do
        printf '\n%s\n%s\n%s\n\n' "$rule" "$(basename "$text")" "$rule"
        cat $text
    done
} > "$static/libraw.licences.txt"

cd "$here/.."
{
    echo "# Written by build.sh. emscripten $(emcc -dumpversion); $PACKAGE, ${JPEG_FILE%.orig.tar.gz}."
    sha256sum static/libraw.wasm static/libraw.licences.txt libraw/{NOTICES,build.sh,scotopic.cpp,jpeg.cpp} libraw/jpeg/*.h
} > libraw/SHA256SUMS
cat libraw/SHA256SUMS
