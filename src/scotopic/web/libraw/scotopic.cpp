// What the page asks LibRaw: open a file's bytes, say what they hold, unpack the values, all by plain C calls.
//
// One `Decoder` a file. A page makes a new instance of the whole module for each file and drops it after, so
// that a file which breaks LibRaw breaks nothing else, and all memory goes back.

#include <cstdint>
#include <cstdlib>

#include <zlib.h>

#include "libraw/libraw.h"

#define EXPORTED(name) extern "C" __attribute__((export_name(#name), used))

namespace {

// The places in `facts`; libraw.js has the same list.
enum Fact {
  RAW_HEIGHT, RAW_WIDTH, HEIGHT, WIDTH, TOP, LEFT, PIXEL_ASPECT, FLIP, COLOURS, FILTERS, SAMPLES, WHITE, IS_RGB_KNOWN,
  ISO, SHUTTER_S, APERTURE, FOCAL_MM, TIMESTAMP, DNG_VERSION, RAW_COUNT,
  BLACK,                     // 4
  WB = BLACK + 4,            // 4
  XYZ_TO_CAMERA = WB + 4,    // 4 x 3
  MATRIX = XYZ_TO_CAMERA + 12,  // 3 x 4, as the file gives it
  TO_SRGB = MATRIX + 12,     // 3 x 4, as LibRaw would apply it
  COUNT = TO_SRGB + 12
};

class Decoder : public LibRaw {
public:
  double facts[COUNT];

  // Common, per-channel and pattern black put together, as rawpy's black_level_per_channel. Call it once.
  void gather() {
    const libraw_data_t &d = imgdata;
    const libraw_image_sizes_t &s = d.sizes;
    adjust_bl();
    const double numbers[] = {
        double(s.raw_height), double(s.raw_width), double(s.height), double(s.width), double(s.top_margin),
        double(s.left_margin), s.pixel_aspect, double(s.flip), double(d.idata.colors), double(d.idata.filters),
        double(samples()), double(d.rawdata.color.maximum),
        double(libraw_internal_data.internal_output_params.raw_color == 0), d.other.iso_speed, d.other.shutter,
        d.other.aperture, d.other.focal_len, double(d.other.timestamp), double(d.idata.dng_version),
        double(d.idata.raw_count)};
    for (int i = 0; i < BLACK; i++)
      facts[i] = numbers[i];
    const libraw_colordata_t &c = d.rawdata.color;
    for (int i = 0; i < 4; i++) {
      facts[BLACK + i] = d.color.cblack[i];
      facts[WB + i] = c.cam_mul[i];
      for (int j = 0; j < 3; j++) {
        facts[XYZ_TO_CAMERA + 3 * i + j] = c.cam_xyz[i][j];
        facts[MATRIX + 4 * j + i] = c.cmatrix[j][i];
        facts[TO_SRGB + 4 * j + i] = c.rgb_cam[j][i];
      }
    }
  }

  // Values a pixel: 1 for mosaics, 3 or 4 for finished colours, 0 where nothing was unpacked as integers.
  int samples() const {
    const libraw_rawdata_t &r = imgdata.rawdata;
    return r.raw_image ? 1 : r.color3_image ? 3 : r.color4_image ? 4 : 0;
  }

  const void *values() const {
    const libraw_rawdata_t &r = imgdata.rawdata;
    return r.raw_image ? (const void *)r.raw_image : r.color3_image ? (const void *)r.color3_image : r.color4_image;
  }
};

} // namespace

// A decoder, or null where memory is short. `megabytes_max` bounds what it may unpack to.
EXPORTED(decoder) Decoder *decoder(unsigned megabytes_max) {
  Decoder *made = new (std::nothrow) Decoder();
  if (made) {
    made->imgdata.rawparams.max_raw_memory_mb = megabytes_max;
    // Nobody reads what it would print.
    made->set_dataerror_handler(nullptr, nullptr);
  }
  return made;
}

// Reads the headers; `bytes` must stay until `unpack` is done. 0, or LibRaw's error number.
EXPORTED(open) int open_bytes(Decoder *of, const uint8_t *bytes, size_t size) {
  try {
    return of->open_buffer(bytes, size);
  } catch (...) {
    return LIBRAW_UNSPECIFIED_ERROR;
  }
}

EXPORTED(unpack) int unpack(Decoder *of) {
  try {
    return of->unpack();
  } catch (...) {
    return LIBRAW_UNSPECIFIED_ERROR;
  }
}

EXPORTED(facts) const double *facts(Decoder *of) {
  of->gather();
  return of->facts;
}

// Height and width as the header states them, before unpacking: height * 65536 + width.
EXPORTED(stated_size) uint32_t stated_size(Decoder *of) {
  const libraw_image_sizes_t &s = of->imgdata.sizes;
  return uint32_t(s.raw_height) << 16 | s.raw_width;
}

EXPORTED(values) const void *values(Decoder *of) { return of->values(); }

// LibRaw's number of the colour at a place of the visible area.
EXPORTED(colour_at) int colour_at(Decoder *of, int row, int column) { return of->COLOR(row, column); }

EXPORTED(make) const char *make(Decoder *of) { return of->imgdata.idata.make; }
EXPORTED(model) const char *model(Decoder *of) { return of->imgdata.idata.model; }
EXPORTED(lens) const char *lens(Decoder *of) { return of->imgdata.lens.Lens; }
EXPORTED(letters) const char *letters(Decoder *of) { return of->imgdata.idata.cdesc; }
EXPORTED(version) const char *version() { return LibRaw::version(); }

// Inflates a zlib stream: the number of bytes written into `out`, or -1 for broken ones and longer ones.
EXPORTED(inflated) int inflated(const uint8_t *bytes, size_t size, uint8_t *out, size_t room) {
  z_stream stream = {};
  stream.next_in = bytes;
  stream.avail_in = size;
  stream.next_out = out;
  stream.avail_out = room;
  if (inflateInit(&stream) != Z_OK)
    return -1;
  const int ended = inflate(&stream, Z_FINISH);
  const int written = int(room - stream.avail_out);
  inflateEnd(&stream);
  return ended == Z_STREAM_END ? written : -1;
}
