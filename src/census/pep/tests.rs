use super::*;

fn parse(bytes: &[u8]) -> Result<Pep> {
    Pep::parse(Path::new("p.csv"), &text::decode(bytes))
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected);
}

/// One state of two counties with the columns of vintage 2019, two years.
const SOUND: &str = "\
SUMLEV,REGION,DIVISION,STATE,COUNTY,STNAME,CTYNAME,CENSUS2010POP,ESTIMATESBASE2010,POPESTIMATE2010,\
POPESTIMATE2011,NPOPCHG_2010,NPOPCHG_2011,BIRTHS2010,BIRTHS2011,DEATHS2010,DEATHS2011,\
NATURALINC2010,NATURALINC2011,INTERNATIONALMIG2010,INTERNATIONALMIG2011,DOMESTICMIG2010,\
DOMESTICMIG2011,NETMIG2010,NETMIG2011,RESIDUAL2010,RESIDUAL2011,RBIRTH2011\r
040,4,8,35,000,New Mexico,New Mexico,300,300,306,318,6,12,6,24,2,8,4,16,1,4,1,-6,2,-2,0,-2,12.5\r
050,4,8,35,001,New Mexico,Bernalillo County,100,100,104,112,4,8,4,14,1,4,3,10,1,3,0,-4,1,-1,0,-1,1\r
050,4,8,35,013,New Mexico,\"Do\u{f1}a Ana County\",200,200,202,206,2,4,2,10,1,4,1,6,0,1,1,-2,1,-1,0,-1,1\r
";

/// The same table in vintage 2023 and later: other names, a UTF-8 byte order mark, no zeros.
const LATER: &str = "\u{feff}\
SUMLEV,REGION,DIVISION,STATE,NAME,ESTIMATESBASE2020,PopEstimate2020,POPESTIMATE042020,\
POPESTIMATE2021,NPOPCHG2020,NPOPCHG_2021,BIRTHS2020,BIRTHS2021,DEATHS2020,DEATHS2021,\
NATURALCHG2020,NATURALCHG2021,INTERNATIONALMIG2020,INTERNATIONALMIG2021,DOMESTICMIG2020,\
DOMESTICMIG2021,NETMIG2020,NETMIG2021,RESIDUAL2020,RESIDUAL2021\n\
40,X,X,1,Alabama,1000,1010,7,1020,10,10,5,20,1,10,4,10,6,1,0,-1,6,0,0,0\n\
40,X,X,72,Puerto Rico,1000,1010,7,1020,10,10,5,20,1,10,4,10,6,0,X,X,X,X,0,0\n";

#[test]
fn both_layouts() {
    let utf8 = parse(SOUND.as_bytes()).unwrap();
    let latin1: Vec<u8> = SOUND.chars().map(|c| u8::try_from(c).unwrap()).collect();
    for pep in [utf8, parse(&latin1).unwrap()] {
        assert_eq!(pep.years(), [2010, 2011]);
        assert_eq!((pep.vintage(), pep.base_year()), (2011, Some(2010)));
        assert!(pep.is_partial(2010) && !pep.is_partial(2011));
        assert_eq!(pep.population("35013", 2011), Some(206));
        assert_eq!(pep.get("35013", Measure::Base, 2010), Some(200));
        assert_eq!(pep.births("35001", 2011), Some(14));
        assert_eq!(pep.deaths("35001", 2010), Some(1));
        assert_eq!(pep.international("35", 2011), Some(4));
        assert_eq!(pep.domestic("35", 2011), Some(-6));
        assert_eq!(pep.residual("35", 2011), Some(-2));
        assert_eq!(pep.population("35013", 2012), None);
        assert_eq!(pep.population("35015", 2011), None);
        assert_eq!(pep.total(&Level::County, Measure::Population, 2011), Some(318));
        let codes: Vec<&str> = pep.geoids(&Level::County).map(Geoid::as_str).collect();
        assert_eq!(codes, ["35001", "35013"]);
        assert_eq!(pep.warnings().len(), 1, "{:?}", pep.warnings());
    }
    let later = parse(LATER.as_bytes()).unwrap();
    assert_eq!(later.years(), [2020, 2021]);
    assert_eq!(later.population("01", 2021), Some(1020));
    assert_eq!(later.domestic("72", 2021), None);
    assert_eq!(later.total(&Level::State, Measure::Population, 2021), Some(1020));
}

#[test]
fn what_a_vintage_lacks_is_said() {
    let pep = parse(SOUND.as_bytes()).unwrap();
    let message = |geoid, measure, year| pep.require(geoid, measure, year).unwrap_err().to_string();
    assert_eq!(pep.require("35001", Measure::Births, 2011).unwrap(), 14);
    assert_eq!(
        message("35001", Measure::Population, 2019),
        "p.csv:1: expected a column POPESTIMATE2019, found the years 2010, 2011"
    );
    assert_eq!(
        message("35003", Measure::Population, 2011),
        "p.csv: expected the area `35003`, found no row of it"
    );
    let later = parse(LATER.as_bytes()).unwrap();
    assert_eq!(
        later.require("72", Measure::Domestic, 2020).unwrap_err().to_string(),
        "p.csv:3: column DOMESTICMIG2020: expected a whole number of persons, found `X`"
    );
    let short = "SUMLEV,STATE,POPESTIMATE2012,POPESTIMATE2013\n040,35,7,9\n";
    let warnings = parse(short.as_bytes()).unwrap().warnings().join("\n");
    assert!(
        warnings.starts_with(
            "population 2012 was not checked against its components: no column BIRTHS, DEATHS, "
        ),
        "{warnings}"
    );
}

#[test]
fn identities() {
    refused(
        &SOUND.replace(",202,206,", ",202,207,"),
        "p.csv:4: column POPESTIMATE2011: expected the population before + births - deaths + \
         international + domestic + residual = 206 for `35013`, found 207, +1 off",
    );
    refused(
        &SOUND.replace(",200,200,202,", ",200,201,202,"),
        "p.csv:4: column POPESTIMATE2010: expected the population before + births - deaths + \
         international + domestic + residual = 203 for `35013`, found 202, -1 off",
    );
    refused(
        &SOUND.replace(",1,-1,0,-1,1\r\n050", ",1,-2,0,-1,1\r\n050"),
        "p.csv:3: column NETMIG2011: expected international + domestic migration = -1 for `35001`, \
         found -2, -1 off",
    );
    let without_a_county: String = SOUND.split_inclusive('\n').take(3).collect();
    refused(
        &without_a_county,
        "p.csv:2: column POPESTIMATE2010: expected the sum of the counties of `35`, 104, found \
         306; are counties missing?",
    );
    let mut states = "SUMLEV,STATE,POPESTIMATE2010,DOMESTICMIG2010\n010,00,51,1\n".to_owned();
    for (code, _) in states::STATES {
        states += if code == "56" { "040,56,1,1\n" } else { "040,CODE,1,0\n" };
        states = states.replace("CODE", code);
    }
    refused(
        &states,
        "p.csv: column DOMESTICMIG2010: expected a sum of 0 over the 51 states, found 1",
    );
    refused(
        &states.replace("010,00,51,1", "010,00,52,1"),
        "p.csv:2: column POPESTIMATE2010: expected the sum of the states of `US`, 51, found 52; \
         are states missing?",
    );
}

#[test]
fn bad_cells_and_other_tables() {
    refused(
        &SOUND.replace(",100,100,104,", ",100,100,X,"),
        "p.csv:3: column POPESTIMATE2010: expected a whole number of persons, found `X`",
    );
    refused(
        &SOUND.replace(",35,013,", ",35,0013,"),
        "p.csv:4: column COUNTY: expected a code of 3 digits, found `0013`",
    );
    refused(
        &SOUND.replace(",35,013,", ",35,001,"),
        "p.csv:4: column STATE: expected each area once, found `35001` again, first on line 3",
    );
    refused(
        &SOUND.replace("050,4,8,35,013", "162,4,8,35,013"),
        "p.csv:4: column SUMLEV: expected 010 (nation), 020, 030, 040 (state), or 050 (county) \
         with a column COUNTY, found 162",
    );
    refused(
        "SUMLEV,STATE,COUNTY,STNAME,CTYNAME,YEAR,AGEGRP,TOT_POP\n050,01,001,A,B,1,0,5\n",
        "p.csv:1: expected columns POPESTIMATE and a year, as in co-est2019-alldata.csv, found \
         SUMLEV, STATE, COUNTY, STNAME, CTYNAME, YEAR, AGEGRP, TOT_POP",
    );
    refused(
        "CBSA,NAME,POPESTIMATE2020\n10180,Abilene,5\n",
        "p.csv:1: expected a column `SUMLEV`, found CBSA, NAME, POPESTIMATE2020",
    );
    refused("SUMLEV,STATE,POPESTIMATE2020\n", "p.csv: expected at least one area, found none");
    let header = SOUND.replace("BIRTHS2011", "BIRTHS2010");
    refused(&header, "p.csv:1: expected each column once, found BIRTHS2010 again");
}
