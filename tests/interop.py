"""Checks flowrake's matrix files against scipy and pyarrow, in both directions.

usage: interop.py TEST FLOWRAKE FOLDER

TEST is the name of a function below, FLOWRAKE the binary, FOLDER an empty folder to work in. Ends
with exit code 0 only if every comparison, all of them exact, holds.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import scipy.sparse as sp

FLOWRAKE = sys.argv[2]
FOLDER = Path(sys.argv[3])
CODES = np.array(["060371011101", "010010201001", "02", "A-7", "é,\"x\""])


def convert(source, target, *options):
    """Runs `flowrake convert`."""
    command = [FLOWRAKE, "convert", FOLDER / source, FOLDER / target, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{source} -> {target}: {done.stderr}"
    assert done.stdout == "" and done.stderr == "", done


def write_units(name="units.csv"):
    quoted = ['"' + code.replace('"', '""') + '"' for code in CODES]
    (FOLDER / name).write_text("\n".join(["geoid", *quoted]) + "\n", encoding="utf-8")
    return ["--units", FOLDER / name]


def assert_same(found, wanted, dtype, what):
    """Both matrices sum duplicates and sort; explicit zeros of movers count as entries."""
    assert found.dtype == dtype, f"{what}: {found.dtype}"
    found, wanted = found.tocsr(), without_zero_stayers(wanted)
    assert found.shape == wanted.shape, f"{what}: {found.shape}"
    for part in ["indptr", "indices", "data"]:
        a, b = getattr(found, part), getattr(wanted, part)
        assert np.array_equal(a, b), f"{what}: {part}\n{a}\n{b}"


def without_zero_stayers(matrix):
    """The matrix in canonical form: duplicates summed in the order given, in float64 (scipy sums
    float32 in float32), and without explicit zeros on the diagonal, since stayers are not stored
    sparsely."""
    table = sp.coo_matrix(matrix)
    sums, stored = np.zeros(table.shape), np.zeros(table.shape, dtype=bool)
    np.add.at(sums, (table.row, table.col), table.data.astype(float))
    stored[table.row, table.col] = True
    stored &= (sums != 0) | ~np.eye(len(sums), dtype=bool)
    rows, columns = np.nonzero(stored)
    parts = (sums[rows, columns].astype(table.dtype), (rows, columns))
    return sp.csr_matrix(parts, shape=table.shape)


def random_matrix(rng, n, entries, dtype):
    """Unsorted, with duplicates, explicit zeros and empty rows."""
    rows = rng.choice(np.arange(0, n, 2), entries)
    columns = rng.integers(0, n, entries)
    values = rng.choice([0.0, 0.1, 1.0, 2.5, 1e-7, 3e9], entries)
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    return sp.csr_matrix((values[order].astype(dtype), columns[order], indptr), shape=(n, n))


def matrices(dtype):
    rng = np.random.default_rng(7)
    whole = random_matrix(rng, 40, 300, dtype)
    canonical = whole.copy()
    canonical.sum_duplicates()
    yield "unsorted", whole
    yield "canonical", canonical
    yield "many", random_matrix(rng, 997, 200_000, dtype)
    many = sp.csr_matrix(random_matrix(rng, 997, 200_000, dtype))
    many.sum_duplicates()
    yield "many-canonical", many
    yield "diagonal", sp.csr_matrix(sp.diags_array(np.arange(5.0)), dtype=dtype)
    yield "one", sp.csr_matrix(np.array([[3]], dtype=dtype))
    yield "one-empty", sp.csr_matrix((1, 1), dtype=dtype)
    yield "empty", sp.csr_matrix((6, 6), dtype=dtype)
    last_empty = sp.csr_matrix(([1, 2], ([0, 1], [1, 0])), shape=(4, 4), dtype=dtype)
    yield "last-empty", last_empty


def scipy_files():
    """Every way scipy stores a matrix, through every format and back."""
    count = 0
    for dtype in [np.float32, np.float64]:
        for name, matrix in matrices(dtype):
            ways = itertools.product(
                ["csr", "csc"], [sp.csr_matrix, sp.csr_array], [False, True], [np.int32, np.int64]
            )
            for layout, container, compressed, index in ways:
                stored = container(matrix)
                if layout == "csc":
                    stored = stored.tocsc()
                stored.indices = stored.indices.astype(index)
                stored.indptr = stored.indptr.astype(index)
                sp.save_npz(FOLDER / "in.npz", stored, compressed=compressed)
                what = f"{name} {layout} {container.__name__} {compressed} {index.__name__}"
                convert("in.npz", "out.npz")
                found = sp.load_npz(FOLDER / "out.npz")
                assert found.has_canonical_format and found.indices.dtype == np.int32
                assert_same(found, matrix, dtype, what)
                count += 1
            convert("in.npz", "out.mtx")
            text = scipy.io.mmread(FOLDER / "out.mtx").tocsr().astype(dtype)
            assert_same(text, matrix, dtype, f"{name} mtx")
            convert("in.npz", "out.parquet")
            convert("out.parquet", "back.npz")
            assert_same(sp.load_npz(FOLDER / "back.npz"), matrix, dtype, f"{name} parquet")
            table = pq.read_table(FOLDER / "out.parquet")
            assert table.schema.metadata[b"flowrake.units"] == str(matrix.shape[0]).encode()
            assert table.schema.field("origin").type == pa.int32()
            assert table.schema.field("flow").type == pa.from_numpy_dtype(dtype)
    assert count == 9 * 2 * 16, count


def scipy_matrix_market():
    """Files that scipy.io.mmwrite writes: fields and symmetries."""
    general = sp.coo_matrix(np.array([[5, 0, 2], [1, 0, 0], [0, 3, 0]]))
    symmetric = sp.coo_matrix(np.array([[5, 1, 0], [1, 0, 3], [0, 3, 2]]))
    for matrix in [general, symmetric]:
        for field in ["real", "integer", "pattern"]:
            scipy.io.mmwrite(FOLDER / "in.mtx", matrix, field=field, comment="a\nb")
            convert("in.mtx", "out.npz")
            wanted = matrix.astype(float)
            if field == "pattern":
                wanted.data[:] = 1
            assert_same(sp.load_npz(FOLDER / "out.npz"), wanted, np.float64, field)


def geoids_of(path):
    table = pq.read_table(path)
    assert table.schema.names == ["origin", "destination", "flow"]
    assert table.schema.field("origin").type == pa.string()
    assert table.schema.field("destination").type == pa.string()
    return table


def chunks_of(path, column):
    """What is said of a column in each row group."""
    metadata = pq.ParquetFile(path).metadata
    return [metadata.row_group(k).column(column) for k in range(metadata.num_row_groups)]


def parquet_written():
    """What pyarrow reads: GEOIDs in the order of the units, several row groups, both types."""
    units = write_units()
    for dtype in [np.float32, np.float64]:
        matrix = random_matrix(np.random.default_rng(1), len(CODES), 60, dtype)
        sp.save_npz(FOLDER / "in.npz", matrix)
        convert("in.npz", "out.parquet", *units)
        table = geoids_of(FOLDER / "out.parquet")
        wanted = without_zero_stayers(matrix).tocoo()
        assert table["origin"].to_pylist() == list(CODES[wanted.row])
        assert table["destination"].to_pylist() == list(CODES[wanted.col])
        assert table["flow"].type == pa.from_numpy_dtype(dtype)
        assert np.array_equal(table["flow"].to_numpy(), wanted.data)
        used = sorted({code.encode() for code in CODES[wanted.row]})
        origin, destination, _ = (chunks_of(FOLDER / "out.parquet", k) for k in range(3))
        assert [c.statistics.min.encode() for c in origin] == used[:1]
        assert [c.statistics.max.encode() for c in origin] == used[-1:]
        for chunk in [*origin, *destination]:
            assert (chunk.compression, chunk.num_values) == ("ZSTD", len(table))
            assert chunk.has_dictionary_page and "RLE_DICTIONARY" in chunk.encodings
        assert destination[0].statistics is None
        convert("out.parquet", "back.npz", *units)
        assert_same(sp.load_npz(FOLDER / "back.npz"), matrix, dtype, "geoids")
        convert("out.parquet", "out.csv", *units)
        convert("out.csv", "back.npz", *units)
        back = sp.load_npz(FOLDER / "back.npz").astype(dtype)
        assert_same(back, matrix, dtype, "csv")
    large = sp.csr_matrix(np.arange(1500.0 * 1500).reshape(1500, 1500))
    sp.save_npz(FOLDER / "in.npz", large, compressed=False)
    convert("in.npz", "out.parquet")
    assert pq.ParquetFile(FOLDER / "out.parquet").num_row_groups == 3
    convert("out.parquet", "back.npz")
    assert_same(sp.load_npz(FOLDER / "back.npz"), large, np.float64, "row groups")


def parquet_read():
    """What pyarrow writes: texts and integers of all kinds, compressions, several row groups."""
    units = write_units()
    rng = np.random.default_rng(3)
    matrix = random_matrix(rng, len(CODES), 200, np.float64).tocoo()
    shuffled = rng.permutation(matrix.nnz)
    rows, columns = matrix.row[shuffled], matrix.col[shuffled]
    # Whole numbers: a sum does not depend on its order.
    flows = rng.integers(0, 9, matrix.nnz).astype(float)
    wanted = sp.csr_matrix((flows, (rows, columns)), shape=matrix.shape)
    strings = pa.array(CODES)
    types = {
        "string": lambda k: strings.take(pa.array(k)),
        "large_string": lambda k: strings.take(pa.array(k)).cast(pa.large_string()),
        "dictionary": lambda k: strings.take(pa.array(k)).dictionary_encode(),
        **{
            kind: lambda k, kind=kind: pa.array(k).cast(getattr(pa, kind)())
            for kind in ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"]
        },
    }
    for (kind, column), compression, version, flow in itertools.product(
        types.items(), ["snappy", "zstd", "none", "gzip", "lz4"], ["1.0", "2.0"], ["float32", "float64"]
    ):
        table = pa.table({
            "note": ["x"] * len(flows),
            "flow": pa.array(flows.astype(flow)),
            "destination": column(columns),
            "origin": column(rows),
            "list": [[1, 2]] * len(flows),
        })
        pq.write_table(
            table, FOLDER / "in.parquet", compression=compression, row_group_size=37,
            data_page_version=version, use_dictionary=version == "1.0",
        )
        convert("in.parquet", "out.npz", *units)
        found = sp.load_npz(FOLDER / "out.npz")
        assert_same(found, wanted, np.dtype(flow), f"{kind} {compression} {version}")


def parquet_refused():
    """Tables that are wrong in one place, and the whole message."""
    units = write_units()
    sound = {
        "origin": pa.array(["02", "A-7", "02"]), "destination": pa.array(["02", "02", "A-7"]),
        "flow": pa.array([1.0, 2.0, 3.0]),
    }
    number = {"origin": pa.array([0, 1, 2]), "destination": pa.array([0, 1, 2])}
    for changes, message in [
        ({"flow": pa.array([1, 2, 3])},
         "column flow: expected float32 or float64, found int64"),
        ({"flow": pa.array([1.0, None, 3.0])},
         "row 1: column flow: expected a value, found null"),
        ({"flow": pa.array([1.0, 2.0, -3.0])},
         "row 2: column flow: expected persons >= 0, found -3"),
        ({"flow": pa.array([1.0, 2.0, np.nan], pa.float32())},
         "row 2: column flow: expected persons >= 0, found NaN"),
        ({"flow": pa.array([np.inf, 2.0, 1.0])},
         "row 0: column flow: expected persons >= 0, found inf"),
        ({"origin": pa.array(["02", None, "02"])},
         "row 1: column origin: expected a value, found null"),
        ({"destination": pa.array(["02", "2", "02"])},
         "row 1: column destination: unknown unit `2`; did it lose its leading zero? expected `02`"),
        ({"destination": pa.array(["02", "02", "03"])},
         "row 2: column destination: expected a unit of the units table, found `03`"),
        ({"origin": pa.array([0, 1, 2])},
         "column destination: expected indices like those of column origin, found text"),
        ({"destination": pa.array([0, 1, 2])},
         "column destination: expected codes like those of column origin, found int64"),
        ({"origin": pa.array([0.0, 1.0, 2.0])},
         "column origin: expected text codes or integer indices, found float64"),
        ({"origin": pa.array([[1], [2], [3]])},
         "expected a flat column `origin`, found columns origin, destination, flow"),
        ({**number, "origin": pa.array([0, -1, 2])},
         "row 1: column origin: expected 0 <= index < 5, found -1"),
        ({**number, "destination": pa.array([0, 1, 5])},
         "row 2: column destination: expected 0 <= index < 5, found 5"),
        ({**number, "destination": pa.array([0, 1, 2**64 - 1], pa.uint64())},
         f"row 2: column destination: expected 0 <= index < 5, found {2**64 - 1}"),
    ]:
        table = pa.table({**sound, **changes})
        pq.write_table(table, FOLDER / "in.parquet", row_group_size=2)
        command = [FLOWRAKE, "convert", FOLDER / "in.parquet", FOLDER / "out.npz", *units]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2, f"{message}: {done}"
        wanted = f"flowrake: error: {FOLDER / 'in.parquet'}: {message}\n"
        assert done.stderr == wanted, f"{done.stderr} is not {wanted}"
        assert not (FOLDER / "out.npz").exists()


def coded_rows(rng, codes, entries):
    """Distinct pairs of indices of codes, sorted, and a whole number for each."""
    pairs = np.unique(rng.integers(0, codes**2, entries))
    return pairs // codes, pairs % codes, rng.integers(0, 9, len(pairs)).astype(float)


def stored_in_many_ways(table):
    """Writes a table of texts and float64 in the encodings there are, and names each."""
    texts = ["origin", "destination"]
    ways = {
        "dictionary": {},
        "full dictionary": {"dictionary_pagesize_limit": 2000},
        "plain": {"use_dictionary": False},
        "delta": {"use_dictionary": False, "column_encoding": {
            **dict.fromkeys(texts, "DELTA_BYTE_ARRAY"), "flow": "BYTE_STREAM_SPLIT"}},
        "lengths": {"use_dictionary": False, "column_encoding": dict.fromkeys(
            texts, "DELTA_LENGTH_BYTE_ARRAY")},
        "one of two": {"use_dictionary": ["destination", "flow"]},
    }
    required = pa.schema([pa.field(f.name, f.type, nullable=False) for f in table.schema])
    groups = [len(table), 30_001, 1000]
    for (name, way), group, version in itertools.product(ways.items(), groups, ["1.0", "2.0"]):
        # Pages end at other rows in each column.
        for nullable, page in [(True, 5000), (False, 1 << 20)]:
            pq.write_table(
                table if nullable else table.cast(required), FOLDER / "in.parquet", **way,
                row_group_size=group, data_page_version=version, data_page_size=page,
            )
            yield f"{name}, groups of {group}, pages {version} of {page} bytes"


def parquet_encodings():
    """The same matrix however its texts are stored, sorted or not, with a units table or without."""
    rng = np.random.default_rng(11)
    codes = np.array([f"{k:012}" for k in np.sort(rng.choice(10**12, 700, replace=False))])
    (FOLDER / "units.csv").write_text("\n".join(["geoid", *codes]) + "\n")
    units = ["--units", FOLDER / "units.csv"]
    rows, columns, flows = coded_rows(rng, len(codes), 80_000)
    rows[-1] = columns[-1] = len(codes) - 1
    wanted = sp.csr_matrix((flows, (rows, columns)), shape=(len(codes), len(codes)))
    shuffled = rng.permutation(len(flows))
    for order in [np.arange(len(flows)), shuffled]:
        table = pa.table({
            "origin": codes[rows[order]], "destination": codes[columns[order]], "flow": flows[order],
        })
        for what in stored_in_many_ways(table):
            convert("in.parquet", "out.npz", *units)
            found = sp.load_npz(FOLDER / "out.npz")
            assert_same(found, wanted, np.float64, what)
    assert not any(chunk.has_dictionary_page for chunk in chunks_of(FOLDER / "in.parquet", 0))
    # A dictionary that also holds what no row refers to, which is no unit.
    entries = pa.array([*codes, "none"])
    few = slice(1000, 31_000)
    table = pa.table({
        "origin": pa.DictionaryArray.from_arrays(pa.array(rows[few]), entries),
        "destination": pa.DictionaryArray.from_arrays(pa.array(columns[few]), entries),
        "flow": flows[few],
    })
    pq.write_table(table, FOLDER / "in.parquet", row_group_size=7000)
    assert all(chunk.has_dictionary_page for chunk in chunks_of(FOLDER / "in.parquet", 1))
    convert("in.parquet", "out.npz")
    used = np.unique([rows[few], columns[few]])
    assert_same(sp.load_npz(FOLDER / "out.npz"), sp.csr_matrix((flows[few], (
        np.searchsorted(used, rows[few]), np.searchsorted(used, columns[few]),
    )), shape=(len(used), len(used))), np.float64, "without units")


def parquet_refused_in_many_ways():
    """The row of a wrong value, however the texts are stored, before and after a dictionary is
    full."""
    rng = np.random.default_rng(13)
    codes = np.array([f"{k:05}" for k in range(1, 400)])
    (FOLDER / "units.csv").write_text("\n".join(["geoid", *codes]) + "\n")
    rows, columns, flows = coded_rows(rng, len(codes), 40_000)
    sound = {"origin": codes[rows], "destination": codes[columns], "flow": flows}
    expected = "expected a unit of the units table, found `99999`"
    for column, row, wrong, problem in [
        ("destination", 3, "99999", expected),
        ("origin", len(rows) - 2, "99999", expected),
        ("destination", 35_000, "0399", "unknown unit `0399`; did it lose its leading zero? expected "
         "`00399`"),
        ("destination", 33_333, b"\xff\xfe", "expected UTF-8 text, found other bytes"),
        ("origin", 31_111, None, "expected a value, found null"),
        ("flow", 34_567, -1.5, "expected persons >= 0, found -1.5"),
    ]:
        values = list(sound[column])
        values[row] = wrong
        kind = {"flow": pa.float64()}.get(column, pa.binary())
        table = pa.table({**sound, column: pa.array(values, kind)})
        if wrong is None:
            # A column that may not be null cannot be written with one.
            stored = ["nullable"]
            pq.write_table(table, FOLDER / "in.parquet", dictionary_pagesize_limit=500)
        else:
            stored = stored_in_many_ways(table)
        for what in stored:
            command = [FLOWRAKE, "convert", FOLDER / "in.parquet", FOLDER / "out.npz", "--units",
                       FOLDER / "units.csv"]
            done = subprocess.run(command, capture_output=True, text=True)
            wanted = f"in.parquet: row {row}: column {column}: {problem}\n"
            assert done.returncode == 2 and done.stderr.endswith(wanted), f"{what}: {done.stderr}"


def units_beside_indices():
    """Codes become sorted units, written beside an output that has only indices."""
    table = pa.table({
        "origin": ["02", "01", "10"], "destination": ["01", "10", "10"], "flow": [1.0, 2.0, 3.0],
    })
    pq.write_table(table, FOLDER / "in.parquet")
    convert("in.parquet", "out.npz")
    wanted = sp.csr_matrix(([2.0, 1.0, 3.0], ([0, 1, 2], [2, 0, 2])))
    assert_same(sp.load_npz(FOLDER / "out.npz"), wanted, np.float64, "coded")
    assert (FOLDER / "out.npz.units.csv").read_text() == "geoid\n01\n02\n10\n"
    convert("out.npz", "back.parquet", "--units", FOLDER / "out.npz.units.csv")
    assert geoids_of(FOLDER / "back.parquet")["origin"].to_pylist() == ["01", "02", "10"]


def units_tables():
    """Units tables as Parquet, their codes as text."""
    sp.save_npz(FOLDER / "in.npz", sp.csr_matrix(np.eye(2)))
    units = FOLDER / "units.parquet"
    pq.write_table(pa.table({"geoid": ["01", "02"], "area": [1.5, None], "tags": [[1], []]}), units)
    convert("in.npz", "out.csv", "--units", units)
    assert (FOLDER / "out.csv").read_text() == "origin,destination,flow\n01,01,1\n02,02,1\n"
    pq.write_table(pa.table({"geoid": [1, 2]}), units)
    command = [FLOWRAKE, "convert", FOLDER / "in.npz", FOLDER / "no.csv", "--units", units]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert done.stderr == (
        f"flowrake: error: {units}: column geoid: expected text codes with leading zeros, found "
        "int64\n"
    ), done.stderr


globals()[sys.argv[1]]()
