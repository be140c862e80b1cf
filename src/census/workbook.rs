//! Small workbooks for tests.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";

/// Writes an `.xlsx` of up to 26 columns: sheets by name, rows of cells. A cell that begins with
/// `#` is a number, an empty one is left out.
pub fn write_workbook(path: &Path, sheets: &[(&str, &[&[&str]])]) {
    let (mut list, mut links, mut parts) = (String::new(), String::new(), Vec::new());
    for (number, (name, rows)) in (1..).zip(sheets) {
        write!(list, r#"<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>"#).unwrap();
        let target = format!("worksheets/sheet{number}.xml");
        let link = format!(r#"Id="r{number}" Type="{OFFICE}/worksheet" Target="{target}""#);
        write!(links, "<Relationship {link}/>").unwrap();
        parts.push((format!("xl/{target}"), sheet(rows)));
    }
    let part = |name: &str, body: String| (name.to_owned(), body);
    parts.push(part(
        "[Content_Types].xml",
        format!(
            r#"<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#
        ),
    ));
    let book = format!(r#"Id="r" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml""#);
    parts.push(part("_rels/.rels", relationships(&format!("<Relationship {book}/>"))));
    parts.push(part(
        "xl/workbook.xml",
        format!(
            r#"<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{list}</sheets></workbook>"#
        ),
    ));
    parts.push(part("xl/_rels/workbook.xml.rels", relationships(&links)));

    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, body) in parts {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(format!("<?xml version=\"1.0\"?>{body}").as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn relationships(links: &str) -> String {
    format!(r#"<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>"#)
}

fn sheet(rows: &[&[&str]]) -> String {
    let mut body = String::new();
    for (line, row) in (1..).zip(rows) {
        write!(body, r#"<row r="{line}">"#).unwrap();
        for (letter, text) in ('A'..='Z').zip(*row).filter(|(_, text)| !text.is_empty()) {
            match text.strip_prefix('#') {
                Some(number) => write!(body, r#"<c r="{letter}{line}"><v>{number}</v></c>"#),
                None => write!(
                    body,
                    r#"<c r="{letter}{line}" t="inlineStr"><is><t>{text}</t></is></c>"#
                ),
            }
            .unwrap();
        }
        body += "</row>";
    }
    format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>"#)
}
